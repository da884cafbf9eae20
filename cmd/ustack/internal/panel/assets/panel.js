// The panel: a stream of server-sent events, and what is drawn of it.
import * as store from './store.js';
import { octets, sequenceChart, windowsChart } from './charts.js';

const $ = id => document.getElementById(id);
const drawWindows = windowsChart($('windows'), $('key-windows'));
const drawSequence = sequenceChart($('sequence'), $('key-sequence'));

let source = null;
let paused = false;
let chosen = null;   // the name of the connection that is looked at
let clock = null;    // time of the stream and of this page when they were last compared
let fresh = false;   // something is to be drawn

const rows = new Map(); // of the table of connections

function say(text, mode) {
  $('live').textContent = text;
  $('live').className = 'live ' + mode;
}

function open() {
  if (source || paused || document.hidden) return;
  store.reset();
  clock = null;
  source = new EventSource('/_/events');
  source.onopen = () => { store.reset(); say('live', 'on'); };
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) { // refused: the browser does not try again
      close();
      say('refused: too many pages look already; trying again', 'off');
      setTimeout(open, 10_000);
    } else say('the server does not answer; trying again', 'off');
  };
  source.addEventListener('table', e => {
    const t = JSON.parse(e.data), now = performance.now();
    store.takeTable(t, now);
    clock = { stream: t.now, page: now };
    choose();
    fresh = true;
  });
  source.addEventListener('trace', e => {
    const b = JSON.parse(e.data), now = performance.now();
    store.takeTrace(b, now);
    clock = { stream: b.now, page: now };
    announce(b.lines);
    fresh = true;
  });
}

function close() {
  source?.close();
  source = null;
}

$('pause').addEventListener('click', () => {
  paused = !paused;
  $('pause').textContent = paused ? 'Go on' : 'Pause';
  if (paused) {
    close();
    say('paused: the stack tells nothing', '');
  } else open();
});
// Nobody looks at a hidden page.
document.addEventListener('visibilitychange', () => document.hidden ? close() : open());

for (const id of ['own', 'all', 'span']) $(id).addEventListener('change', () => { fresh = true; });
$('follow').addEventListener('change', choose);

/** Follows the busiest connection, if that is wished for. */
function choose() {
  const c = store.conns.get(chosen);
  if (!$('follow').checked && c) return;
  const b = store.busiest();
  if (b && b.id !== chosen && (!c || b.moved > 0 && (c.over || performance.now() - c.movedAt > 3000))) chosen = b.id;
}

function pick(id) {
  $('follow').checked = false;
  chosen = id;
  fresh = true;
}

const millis = us => us ? `${us < 10_000 ? (us / 1000).toFixed(2) : (us / 1000).toFixed(us < 100_000 ? 1 : 0)} ms` : '–';

function cells(c) {
  const r = c.row || {};
  const size = n => r.state ? octets(n) : '–';
  const now = text => c.over ? '–' : text;
  return [c.local, c.state || '–', now((r.phase || '–').replaceAll('-', ' ')), now(size(r.cwnd)), now(size(r.in_flight)), now(size(r.peer_window)),
    millis(r.srtt_us), size(r.bytes_out), size(r.bytes_in), r.retransmits ?? '–'];
}

function makeRow(c) {
  const tr = document.createElement('tr'), th = document.createElement('th'), button = document.createElement('button');
  th.scope = 'row';
  button.type = 'button';
  button.addEventListener('click', () => pick(c.id));
  th.append(button);
  tr.append(th, ...cells(c).map((_, i) => {
    const td = document.createElement('td');
    if (i >= 3) td.className = 'num';
    return td;
  }));
  rows.set(c.id, tr);
  return tr;
}

function set(node, text) {
  if (node.textContent !== String(text)) node.textContent = text;
}

function drawTable() {
  const body = $('conns').tBodies[0];
  const list = [...store.conns.values()].filter(c => !c.own || $('own').checked || c.id === chosen);
  list.sort((a, b) => !!a.over - !!b.over || (b.octets || 0) - (a.octets || 0) || (a.id < b.id ? -1 : 1));
  const shown = list.slice(0, 60);
  for (const [id, tr] of rows) if (!shown.some(c => c.id === id)) { tr.remove(); rows.delete(id); }
  body.querySelector('.empty')?.closest('tr').remove();
  shown.forEach((c, i) => {
    const tr = rows.get(c.id) || makeRow(c);
    if (body.rows[i] !== tr) body.insertBefore(tr, body.rows[i] || null);
    const button = tr.cells[0].firstChild;
    set(button, c.remote + (c.own ? ' (a panel)' : ''));
    button.disabled = c.own; // nothing is told of it
    tr.classList.toggle('chosen', c.id === chosen);
    button.setAttribute('aria-pressed', c.id === chosen);
    tr.classList.toggle('over', !!c.over);
    cells(c).forEach((text, n) => set(tr.cells[n + 1], text));
  });
  if (!shown.length) {
    const td = document.createElement('td');
    td.colSpan = 11;
    td.className = 'empty';
    td.textContent = 'Nobody is connected but this page. Fetch something: curl -o /dev/null ' + location.origin + '/_/bytes/100000000';
    body.insertRow().append(td);
  }
  const more = (store.stats?.more || 0) + list.length - shown.length;
  set($('more'), more ? `and ${more} more` : '');
}

const whole = n => n == null ? '–' : Math.round(n).toLocaleString('en');
const sum = map => Object.values(map).reduce((a, b) => a + b, 0);

function drawStats() {
  const s = store.stats;
  if (!s) return;
  set($('n-conns'), whole(s.conns.length + s.more));
  set($('n-half'), whole(s.half_open));
  set($('n-wait'), whole(s.time_wait));
  set($('n-accept'), whole(s.waiting));
  set($('n-in'), whole(s.packetRate));
  set($('n-out'), whole(s.segmentRate));
  set($('n-again'), whole(s.resent));
  set($('n-drops'), whole(sum(s.drops) + s.queue_drops));
  set($('n-mem'), octets(s.memory_used));
  $('n-mem').title = `of ${octets(s.memory_budget)}`;
  drawCounts($('sent'), Object.entries(s.sent).map(([name, n]) => [name.replaceAll('-', ' '), whole(n), n]), 'nothing yet');
  const drops = Object.entries(s.drops).map(([name, n]) => [name, s.sections[name] || 'a limit of ours', whole(n), n]);
  if (s.queue_drops) drops.push(['queue of the device full', 'a limit of the kernel’s', whole(s.queue_drops), s.queue_drops]);
  drawCounts($('drops'), drops, 'nothing yet');
}

/** Fills a table with rows, whose last value they are sorted by. */
function drawCounts(table, list, none) {
  list.sort((a, b) => b.at(-1) - a.at(-1));
  const text = JSON.stringify(list);
  if (table.shown === text) return;
  table.shown = text;
  const columns = table.tHead.rows[0].cells.length;
  table.tBodies[0].replaceChildren(...list.map(values => {
    const tr = document.createElement('tr');
    values.slice(0, columns).forEach((v, i) => {
      const cell = document.createElement(i ? 'td' : 'th');
      if (!i) cell.scope = 'row';
      if (i === columns - 1) cell.className = 'num';
      cell.textContent = v;
      tr.append(cell);
    });
    return tr;
  }));
  if (!list.length) {
    const td = document.createElement('td');
    td.colSpan = columns;
    td.className = 'empty';
    td.textContent = none;
    table.tBodies[0].insertRow().append(td);
  }
}

function drawMachine(c) {
  set($('state'), c?.state || '–');
  const path = c?.path || [];
  for (const g of document.querySelectorAll('.machine .state')) {
    const name = g.dataset.state;
    g.classList.toggle('now', name === c?.state);
    g.classList.toggle('been', name !== c?.state && path.includes(name));
  }
  const gone = new Set(path.slice(1).map((to, i) => path[i] + '>' + to));
  for (const e of document.querySelectorAll('.machine .edge')) e.classList.toggle('gone', gone.has(e.dataset.from + '>' + e.dataset.to));
  $('machine-title').textContent = c?.state ? `The states of a TCP connection. Now ${c.state}; it came by ${path.join(', ')}.` : 'The states of a TCP connection';
}

const words = { in: 'in', out: 'out', held: 'waits', ended: 'over', drop: 'in', state: 'now', request: 'asks', interim: 'interim', response: 'reply', 'response-end': 'done' };

function drawEvents() {
  const all = $('all').checked;
  const list = store.lines.filter(l => all || l.flow === chosen).slice(-50).reverse();
  const box = $('events');
  if (box.matches(':hover') && box.scrollTop > 0 || box.contains(document.activeElement) && box.scrollTop > 0) return; // somebody reads
  box.replaceChildren(...list.map(l => {
    const li = document.createElement('li'), time = document.createElement('time'), kind = document.createElement('span'), text = document.createElement('p');
    time.textContent = (l.t / 1000).toFixed(3);
    kind.textContent = words[l.kind];
    kind.className = l.kind;
    const [what, ...rest] = l.text.split(' · ');
    const b = document.createElement('span');
    b.textContent = (all && l.flow ? l.flow.split('>')[0] + ' ' : '') + (l.segment && l.segment !== what ? l.segment + ': ' : '') + what;
    if (l.kind === 'drop') b.className = 'drop';
    else if (l.again) b.className = 'again';
    text.append(b);
    if (rest.length) {
      const small = document.createElement('small');
      small.textContent = rest.join(' · ');
      text.append(small);
    }
    li.append(time, kind, text);
    return li;
  }));
  const m = store.missed, parts = [];
  if (m.skipped) parts.push(`${whole(m.skipped)} more events than there is room for`);
  if (m.lost) parts.push(`${whole(m.lost)} came too fast to be looked at`);
  if (m.left) parts.push(`${whole(m.left)} segments are not in the plot`);
  set($('missed'), parts.length ? parts.join('; ') + '.' : '');
}

let saidAt = 0;

/** Tells a screen reader of what is out of the ordinary, not more than once in three seconds. */
function announce(list) {
  const now = performance.now();
  if (now - saidAt < 3000) return;
  const l = list.findLast(l => l.notable && l.flow === chosen);
  if (!l) return;
  saidAt = now;
  $('said').textContent = `${l.kind === 'drop' ? 'refused' : words[l.kind]}: ${l.segment || ''} ${l.text.split(' · ')[0]}`;
}

function draw() {
  requestAnimationFrame(draw);
  if (!fresh) return;
  fresh = false;
  const c = store.conns.get(chosen);
  drawTable();
  drawStats();
  set($('chosen'), c ? `${c.remote} → ${c.local}` : 'none yet');
  drawMachine(c);
  drawEvents();
  if (!c) return;
  const span = +$('span').value;
  const last = Math.max(c.windows[0].at(-1) || 0, c.over ? 0 : clock ? (clock.stream + performance.now() - clock.page) / 1000 : 0);
  const range = [Math.max(last - span, 0), Math.max(last, Math.min(span, 5))];
  drawWindows(c, range);
  drawSequence(c, range);
}

open();
requestAnimationFrame(draw);
