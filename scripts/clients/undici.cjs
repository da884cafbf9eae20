// Asks for many things on one connection without waiting for the answers, and holds each answer to its own request.
'use strict';

const fs = require('node:fs');
const [undici, base, octetsFile, count, pipelining] = process.argv.slice(2);
const { Client } = require(undici);

const octets = fs.readFileSync(octetsFile);
const client = new Client(base, { pipelining: Number(pipelining) });
const result = { requests: 0, wrong: [] };

async function ask(options, right) {
  result.requests++;
  try {
    const { statusCode, body } = await client.request(options);
    const got = Buffer.from(await body.arrayBuffer());
    if (statusCode !== 200 || !right(got)) {
      result.wrong.push(`${options.method} ${options.path}: ${statusCode}, ${got.length} octets: ${got.subarray(0, 80)}`);
    }
  } catch (err) {
    result.wrong.push(`${options.method} ${options.path}: ${err}`);
  }
}

const tile = i => ask({ method: 'GET', path: `/_/objects/${count}/${i}` },
  got => got.length === 2000 && got.includes(`>${i}</text>`));
const bytes = i => ask({ method: 'GET', path: `/_/bytes/${i * 37}` }, got => got.equals(octets.subarray(0, i * 37)));
const echo = i => {
  const sent = Buffer.from(octets.subarray(i, i + 5000));
  return ask({ method: 'POST', path: '/_/echo', body: sent, headers: { 'x-number': String(i) } },
    got => got.subarray(-sent.length).equals(sent) && got.includes(`: ${i}\r\n`));
};

const all = [];
for (let i = 0; i < Number(count); i++) {
  all.push(i % 2 ? bytes(i) : tile(i));
  if (i % 50 === 49) all.push(echo(i));
}
Promise.all(all).then(() => client.close()).then(() => console.log(JSON.stringify(result)));
