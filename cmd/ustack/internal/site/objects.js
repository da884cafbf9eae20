'use strict';

const $ = id => document.getElementById(id);
const ms = t => t < 9.95 ? t.toFixed(1) + ' ms' : t < 9950 ? Math.round(t) + ' ms' : (t / 1000).toFixed(1) + ' s';
const octets = n => n < 1024 ? n + ' octets' : n < 1 << 20 ? (n / 1024).toFixed(1) + ' KiB' : (n / (1 << 20)).toFixed(1) + ' MiB';
const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];
const sleep = t => new Promise(done => setTimeout(done, t));
const tiles = [...document.querySelectorAll('#tiles img')];

function make(tag, text, className = '') {
  const el = document.createElement(tag);
  el.textContent = text;
  el.className = className;
  return el;
}

$('form').onsubmit = e => {
  e.preventDefault();
  const f = e.target;
  location.href = `/_/objects/${f.n.value}?size=${f.size.value}`;
};

// What the browser has measured, by the tag in the request's query: the tiles of the page itself have none.
const measured = new Map();

function take(entries) {
  for (const e of entries) {
    const url = new URL(e.name);
    if (!/^\/_\/objects\/\d+\/\d+$/.test(url.pathname) || !e.requestStart) continue; // a failed one has no times
    const tag = url.searchParams.get('run') || '';
    if (!measured.has(tag)) measured.set(tag, []);
    measured.get(tag).push(e);
  }
}

const entries = tag => (measured.get(tag) || []).sort((a, b) => a.requestStart - b.requestStart || a.startTime - b.startTime);

// A connection that was open already is ready when the request begins.
const handshakes = list => list.filter(e => e.connectEnd > e.fetchStart).length;

function figures(list) {
  const start = Math.min(...list.map(e => e.startTime)), total = Math.max(...list.map(e => e.responseEnd)) - start;
  return {
    list, start, total, opened: handshakes(list),
    wait: median(list.map(e => e.responseStart - e.requestStart)),
    rate: Math.round(list.length / total * 1000).toLocaleString('en'),
  };
}

// How the objects were loaded, by way; 'page' is how the page itself was.
const loaded = new Map();

function facts(f) {
  const bytes = f.list.reduce((n, e) => n + (e.transferSize || e.encodedBodySize), 0);
  const failed = tiles.filter(t => t.complete && !t.naturalWidth).length;
  const rows = [
    ['loaded', `${f.list.length - failed} of ${tiles.length}`], ['in all', ms(f.total)], ['octets, headers too', octets(bytes)],
    ['requests a second', f.rate],
    ['connections opened', f.opened + (f.opened ? '' : ' (reused)')],
    ['median wait for an answer', ms(f.wait)],
  ];
  if (failed) rows.push(['failed', String(failed)]);
  $('facts').replaceChildren(...rows.map(([k, v]) => {
    const li = document.createElement('li');
    li.append(make('span', k), make('b', v));
    return li;
  }));
}

function compare() {
  $('compare').tBodies[0].replaceChildren(...[...loaded.values()].map(f => {
    const tr = document.createElement('tr');
    tr.append(make('td', f.title + (f.failed ? `, ${f.failed} failed` : '')),
      ...[ms(f.total), f.opened, ms(f.wait), f.rate].map(v => make('td', String(v), 'num')));
    return tr;
  }));
}

function waterfall(canvas, f, span) {
  const css = getComputedStyle(document.documentElement), list = f.list;
  const colour = name => css.getPropertyValue(name).trim();
  const width = canvas.parentElement.clientWidth;
  const row = list.length > 1500 ? 1 : list.length > 300 ? 2 : list.length > 40 ? 5 : 10;
  const height = list.length * row + 24, scale = Math.min(devicePixelRatio || 1, 16000 / height);
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.cssText = `width:${width}px;height:${height}px;display:block`;
  const g = canvas.getContext('2d');
  g.scale(scale, scale);
  const x = t => (t - f.start) / span * (width - 4) + 2;
  g.font = '12px monospace';
  g.fillStyle = colour('--soft');
  const steps = width < 360 ? 2 : 4;
  for (let i = 0; i <= steps; i++) {
    const at = span * i / steps;
    g.textAlign = i === 0 ? 'left' : i === steps ? 'right' : 'center';
    g.fillText(ms(at), x(f.start + at), 12);
    g.globalAlpha = .35;
    g.fillRect(x(f.start + at), 18, 1, height);
    g.globalAlpha = 1;
  }
  const parts = e => [
    ['--line', e.startTime, e.requestStart], ['--wait', e.connectStart, e.connectEnd],
    ['--out', e.requestStart, e.responseStart], ['--in', e.responseStart, e.responseEnd],
  ];
  list.forEach((e, i) => {
    for (const [name, from, to] of parts(e)) {
      if (to <= from) continue;
      g.fillStyle = colour(name);
      g.fillRect(x(from), 20 + i * row, Math.max(x(to) - x(from), 1), Math.max(row - 2, 1));
    }
  });
}

// The ways have their waterfalls side by side, in one scale: the longest fills the width.
function show() {
  const runs = [...loaded].filter(([way]) => way !== 'page');
  const span = Math.max(...runs.map(([, f]) => f.total));
  for (const [way, f] of runs) {
    if ($('fall-' + way)) continue;
    const figure = make('figure', ''), canvas = make('canvas', '');
    canvas.id = 'fall-' + way;
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `Waterfall of the requests over time, ${f.title}`);
    figure.append(make('figcaption', f.title), canvas);
    $('falls').append(figure);
  }
  for (const [way, f] of runs) waterfall($('fall-' + way), f, span);
  compare();
}

let pending = 0, running = false;
function refresh() {
  pending = 0;
  const list = entries('');
  if (!list.length) return;
  const page = { title: 'this page', ...figures(list) };
  loaded.set('page', page);
  facts(page);
  waterfall($('fall'), page, page.total);
  show();
  $('note').textContent = page.opened
    ? 'Yellow: a handshake. Every other row found a connection that was open already.'
    : 'No handshake at all: the connections were open already. Load again after a minute of silence to see them made anew.';
}
const later = () => { pending ||= setTimeout(refresh, 120); };

const observer = new PerformanceObserver(seen => {
  take(seen.getEntries());
  if (!running) later();
});

const ways = {
  serial: { title: 'serial', atOnce: 1, close: 1 },
  parallel: { title: 'parallel', atOnce: 256, close: 1 },
  persistent: { title: 'persistent', atOnce: 1, close: 0 },
};

// fetchOne returns the number of the connection that the answer came on, '' where the server does not tell.
async function fetchOne(url) {
  const answer = await fetch(url, { cache: 'no-store' });
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.headers.get('Wire-Connection') || '';
}

// hangUp ends every open connection: a browser keeps no more than six to a host.
const hangUp = tag => Promise.allSettled(Array.from({ length: 6 }, (_, i) => fetchOne(`/_/objects/6/${i}?close=1&run=${tag}-`)));

async function load(way) {
  const { title, atOnce, close } = ways[way], tag = way + Date.now();
  const connections = new Set();
  let next = 0, failed = 0;
  const lane = async () => {
    while (next < tiles.length) {
      const i = next++;
      const url = new URL(tiles[i].src);
      url.search += `&close=${close}&run=${tag}`;
      await fetchOne(url).then(n => connections.add(n), () => failed++);
      tiles[i].classList.remove('away');
    }
  };
  await hangUp(tag);
  tiles.forEach(t => t.classList.add('away'));
  await Promise.all(Array.from({ length: Math.min(atOnce, tiles.length) }, lane));
  for (let i = 0; i < 20 && entries(tag).length < tiles.length - failed; i++) await sleep(50);
  const list = entries(tag);
  if (!list.length) return;
  const f = { title, ...figures(list), failed };
  connections.delete('');
  if (connections.size) f.opened = connections.size;
  loaded.set(way, f);
}

async function run(names) {
  const buttons = document.querySelectorAll('button');
  running = true;
  buttons.forEach(b => { b.disabled = true; });
  for (const name of names) {
    $('run').textContent = `loading them, ${ways[name].title} …`;
    await load(name);
  }
  running = false;
  buttons.forEach(b => { b.disabled = false; });
  $('run').textContent = 'done';
  show();
}

const start = way => run(way === 'all' ? Object.keys(ways) : [way]);
for (const b of document.querySelectorAll('#ways button')) b.onclick = () => start(b.dataset.way);

observer.observe({ type: 'resource', buffered: true });
addEventListener('load', async () => {
  later();
  await sleep(300);
  if ($('ways').dataset.way && tiles.length) start($('ways').dataset.way);
});
addEventListener('resize', later);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', later);
