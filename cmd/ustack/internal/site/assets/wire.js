'use strict';

const $ = id => document.getElementById(id);
const make = (tag, attrs = {}, ...kids) => fill(document.createElement(tag), attrs, kids);
const draw = (tag, attrs = {}, ...kids) => fill(document.createElementNS('http://www.w3.org/2000/svg', tag), attrs, kids);

function fill(el, attrs, kids) {
  for (const [k, v] of Object.entries(attrs)) el.setAttribute(k, v);
  el.append(...kids);
  return el;
}

const ms = t => t < 9.95 ? t.toFixed(1) + ' ms' : t < 9950 ? Math.round(t) + ' ms' : (t / 1000).toFixed(1) + ' s';
function octets(n) {
  for (const unit of ['octets', 'KiB', 'MiB', 'GiB']) {
    if (n < 1024 || unit === 'GiB') return (unit === 'octets' || n >= 100 ? Math.round(n) : n.toFixed(1)) + ' ' + unit;
    n /= 1024;
  }
}

const MSS = 1448; // of a 1500-octet packet: 20 IP, 20 TCP, 12 for the timestamps
const INITIAL_WINDOW = 10;

// Every step: direction (out, in, pause), time, what stands on the arrow, headline, explanation.
function story(nav, facts) {
  const server = facts.engine || 'the server';
  const fresh = nav.connectEnd > nav.connectStart || facts.request === 1;
  const size = nav.transferSize || nav.encodedBodySize;
  const segments = Math.max(1, Math.ceil(size / MSS));
  const steps = [];
  const step = (way, at, label, head, text, more = {}) => steps.push({ way, at, label, head, text, ...more });

  if (fresh) {
    const measured = nav.connectEnd > nav.connectStart;
    step('out', measured ? nav.connectStart : null, 'SYN', 'Shall we talk?',
      'A segment without data: the browser’s side picks a random first sequence number and offers its options: the largest segment it takes, window scaling, selective ACKs, timestamps.');
    step('in', null, 'SYN, ACK', 'Yes, and these are mine.',
      `It acknowledges the SYN and brings ${server}’s own first sequence number and options. Only what both sides offered is used from now on.`);
    step('out', measured ? nav.connectEnd : null, 'ACK', 'Connected.', measured
      ? `Your browser measured ${ms(nav.connectEnd - nav.connectStart)} for this: one round trip and the time to answer.`
      : 'Your browser did this ahead of time, while you were still typing or choosing: it guessed that you would come, so the handshake cost you nothing.');
  } else {
    step('pause', nav.requestStart, 'already open', 'No handshake this time.',
      'The browser still had a connection to this address and used it again. That saved a whole round trip. Leave it alone for a minute, reload, and you will see the handshake.', { quiet: true });
  }
  step('out', nav.requestStart, 'GET / HTTP/1.1', 'The request.',
    'One segment: its data is the request line and the headers; its ACK field repeats what has been received so far. Every segment after the SYN does.');
  step('in', nav.responseStart, 'data + ACK', 'The answer carries the ACK.',
    `The first octet was here ${ms(nav.responseStart - nav.requestStart)} after the request. The server need not send an empty ACK first: it waits a moment, and the acknowledgement rides on the response.`);
  if (segments > 1) {
    step('in', nav.responseEnd, `${segments - 1} more segment${segments > 2 ? 's' : ''}`, 'The rest, back to back.', windowText(size, segments), { many: true });
  }
  step('out', null, 'ACK', 'All received.',
    'The browser’s side acknowledges every second full segment or so, and the rest after a short delay. One number covers everything before it.');
  const also = performance.getEntriesByType('resource').filter(e => /\.(css|js)$/.test(new URL(e.name).pathname));
  step('pause', null, 'kept open', 'The connection stays.', alsoText(also), { quiet: true });
  step('in', null, 'FIN … FIN', 'Later: the close.',
    'After a minute of silence, or when your browser has enough, one side says FIN: “I have nothing more to send”. The other acknowledges and says the same. Whoever closed first remembers the connection in TIME-WAIT for a while, so that stray segments find nobody else.', { later: true });
  return { steps, fresh, size, segments };
}

function windowText(size, segments) {
  if (segments <= INITIAL_WINDOW) {
    return `The page takes ${octets(size)} with its headers: ${segments} segments of at most ${MSS} octets. A new connection may send ${INITIAL_WINDOW} before it has to wait for an ACK, so all of them left at once.`;
  }
  let rounds = 1;
  for (let w = INITIAL_WINDOW, n = w; n < segments; w *= 2, n += w) rounds++;
  return `The page takes ${octets(size)}: ${segments} segments. The first ${INITIAL_WINDOW} leave at once; then the window doubles with each round of ACKs: ${rounds} rounds in all.`;
}

function alsoText(also) {
  if (!also.length) return 'The next request on it needs no handshake.';
  const reused = also.filter(e => e.connectStart === e.connectEnd).length;
  const names = also.map(e => new URL(e.name).pathname.slice(1)).join(' and ');
  if (reused === also.length) return `It also brought ${names}, without another handshake.`;
  return `${names}: ${reused} of ${also.length} came over a connection that was open already, for the rest the browser opened another one to load them at the same time.`;
}

function arrow(step) {
  const svg = draw('svg', { viewBox: '0 0 100 74', preserveAspectRatio: 'none', 'aria-hidden': 'true', class: step.way });
  const line = (y, extra = {}) => {
    const [x1, x2] = step.way === 'out' ? [0, 100] : [100, 0];
    svg.append(draw('line', { x1, y1: y, x2, y2: y + 20, stroke: 'currentColor', 'stroke-width': 2, 'vector-effect': 'non-scaling-stroke', ...extra }));
  };
  if (step.quiet) {
    svg.append(draw('line', { x1: 4, y1: 37, x2: 96, y2: 37, stroke: 'currentColor', 'stroke-width': 2, 'stroke-dasharray': '2 6', 'vector-effect': 'non-scaling-stroke' }));
    return [svg];
  }
  const dash = step.later ? { 'stroke-dasharray': '6 5' } : {};
  for (const y of step.many ? [28, 35, 42] : [34]) line(y, dash);
  const end = (step.many ? 42 : 34) + 20;
  const tip = draw('svg', { viewBox: '0 0 14 14', class: step.way, 'aria-hidden': 'true' },
    draw('path', { d: step.way === 'out' ? 'M14 7 2 1.5 4.5 7 2 12.5z' : 'M0 7 12 1.5 9.5 7 12 12.5z', fill: 'currentColor' }));
  tip.style.cssText = `inset:auto;width:14px;height:14px;top:calc(${end / 74 * 100}% - 7px);${step.way === 'out' ? 'right:-1px' : 'left:-1px'}`;
  return [svg, tip];
}

function tell(nav, facts) {
  const { steps, fresh, size, segments } = story(nav, facts);
  const start = nav.connectEnd > nav.connectStart ? nav.connectStart : nav.requestStart;
  const from = { out: 'browser to server', in: 'server to browser', pause: '' };
  $('ladder').replaceChildren(...steps.map(s => make('li', {},
    make('time', {}, s.later ? 'later' : s.at === null ? '' : '+' + ms(s.at - start)),
    make('div', { class: 'rail' }, ...arrow(s), make('span', { class: s.quiet ? s.way + ' mid' : s.way, title: from[s.way] }, s.label)),
    make('div', { class: 'say' }, make('b', {}, s.head), make('p', {}, s.text)))));
  $('summary').textContent = `${octets(size)} in ${segments} segment${segments > 1 ? 's' : ''}, ${ms(nav.responseEnd - start)} from ${start < nav.requestStart && nav.connectEnd > nav.connectStart ? 'the SYN' : 'the request'} to the last octet. Times are your browser’s own; where it has none, the order is what TCP prescribes.`;
  if (facts.engine) $('server-end').textContent = facts.engine;

  const parts = [
    ['c-connect', 'connect', nav.connectEnd - nav.connectStart],
    ['c-wait', 'request to first octet', nav.responseStart - nav.requestStart],
    ['c-load', 'first to last octet', nav.responseEnd - nav.responseStart],
  ].filter(p => p[2] > 0);
  $('bar').hidden = false;
  $('bar').replaceChildren(...parts.map(([cls, , t]) => { const i = make('i', { class: cls }); i.style.flex = t; return i; }));
  $('key').replaceChildren(...parts.map(([cls, name, t]) => make('li', {}, make('i', { class: cls }), `${name} `, make('span', { class: 'mono num' }, ms(t)))));
}

function showFacts(facts) {
  const rows = [
    ['you are', facts.client], ['the server is', facts.server || location.host],
    ['connection', facts.connection ? 'no. ' + facts.connection : ''], ['this page was request', facts.request ? `no. ${facts.request} on it` : ''],
    ['TCP by', facts.engine], ['HTTP', facts.proto],
  ];
  $('facts').replaceChildren(...rows.filter(r => r[1]).map(([k, v]) => make('li', {}, make('span', {}, k), make('b', {}, v))));
}

// axes draws a frame with the largest values and returns the scale of each direction.
function axes(svg, t, y, yText) {
  const box = svg.viewBox.baseVal, left = 8, right = box.width - 8, top = 26, bottom = box.height - 26;
  svg.replaceChildren(
    draw('line', { x1: left, x2: right, y1: bottom, y2: bottom, class: 'axis' }),
    draw('text', { x: left, y: 16 }, yText), draw('text', { x: left, y: box.height - 8 }, '0'),
    draw('text', { x: right, y: box.height - 8, 'text-anchor': 'end' }, ms(t)));
  return [v => left + v / t * (right - left), v => bottom - v / y * (bottom - top)];
}

// receive calls piece(time since the request, octets so far) for each piece of the response.
async function receive(url, piece) {
  const start = performance.now();
  const r = await fetch(url, { cache: 'no-store' });
  if (!r.ok) throw new Error((await r.text()).trim());
  let sum = 0;
  for (const reader = r.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) return;
    piece(performance.now() - start, sum += value.length);
  }
}

function drawCurve(points, size) {
  const [t, n] = points[points.length - 1];
  const [x, y] = axes($('dl-chart'), t, size, octets(size));
  const every = Math.ceil(points.length / 1500);
  let d = `M${x(0)} ${y(0)}`;
  points.forEach(([pt, pn], i) => { if (i % every === 0 || i === points.length - 1) d += `H${x(pt).toFixed(1)}V${y(pn).toFixed(1)}`; });
  $('dl-chart').append(draw('path', { d: `${d}V${y(0)}Z`, class: 'area' }), draw('path', { d, class: 'curve' }));
  $('dl-out').textContent = `${octets(n)} in ${ms(t)}: ${(n * 8 / t / 1e6).toFixed(2)} Gbit/s, read in ${points.length} piece${points.length > 1 ? 's' : ''}`;
}

async function busy(button, out, work) {
  button.disabled = true;
  out.textContent = '…';
  try { await work(); } catch (e) { out.textContent = String(e.message || e); } finally { button.disabled = false; }
}

function download() {
  const size = Number($('dl-size').value), points = [];
  return busy($('dl-go'), $('dl-out'), async () => {
    await receive('/_/bytes/' + size, (t, n) => points.push([t, n]));
    drawCurve(points, size);
  });
}

function smallWrites() {
  const k = $('wr-k').value, n = $('wr-n').value, gap = $('wr-gap').value, points = [];
  return busy($('wr-go'), $('wr-out'), async () => {
    let before = 0;
    await receive(`/_/writes/${k}x${n}?gap=${gap}ms`, (t, sum) => { points.push([t, sum - before]); before = sum; });
    const end = points[points.length - 1][0], [x] = axes($('wr-chart'), end, 1, '');
    points.forEach(([t, size]) => $('wr-chart').append(
      draw('circle', { cx: x(t), cy: 62, r: 7, class: 'dot' }),
      draw('text', { x: Math.min(x(t), 785), y: 40, 'text-anchor': x(t) > 750 ? 'end' : x(t) < 40 ? 'start' : 'middle' }, size)));
    $('wr-out').textContent = `${k} writes, ${points.length} piece${points.length > 1 ? 's' : ''}`;
  });
}

function paperRounds() {
  let total = 0;
  for (let i = 1, n = INITIAL_WINDOW; i <= 6; i++, n *= 2) {
    total += n * MSS;
    $('rounds').tBodies[0].append(make('tr', {}, make('td', {}, String(i)), ...[n, (n * MSS).toLocaleString('en'), total.toLocaleString('en')].map(v => make('td', { class: 'num' }, String(v)))));
  }
}

function endpoints() {
  for (const code of $('ends').querySelectorAll('td:last-child code')) {
    code.textContent = code.textContent.replaceAll('{base}', location.origin);
    if (!navigator.clipboard) continue;
    const b = make('button', { class: 'copy', type: 'button', 'aria-label': 'Copy the command' }, 'copy');
    b.onclick = () => navigator.clipboard.writeText(code.textContent).then(() => { b.textContent = 'copied'; });
    code.after(' ', b);
  }
}

function main() {
  const facts = JSON.parse($('served').textContent);
  const nav = performance.getEntriesByType('navigation')[0];
  showFacts(facts);
  tell(nav, facts);
  if (!$('ends')) return; // the endpoints are switched off
  paperRounds();
  endpoints();
  $('dl-go').onclick = download;
  $('wr-go').onclick = smallWrites;
}

// After the load event, when the entry of the page itself is complete.
addEventListener('load', () => setTimeout(main));
