'use strict';

const $ = id => document.getElementById(id);
const ms = t => t < 9.95 ? t.toFixed(1) + ' ms' : t < 9950 ? Math.round(t) + ' ms' : (t / 1000).toFixed(1) + ' s';
const octets = n => n < 1024 ? n + ' octets' : n < 1 << 20 ? (n / 1024).toFixed(1) + ' KiB' : (n / (1 << 20)).toFixed(1) + ' MiB';
const median = list => [...list].sort((a, b) => a - b)[list.length >> 1];
const tiles = [...document.querySelectorAll('#tiles img')];

$('form').onsubmit = e => {
  e.preventDefault();
  const f = e.target;
  location.href = `/_/objects/${f.n.value}?size=${f.size.value}`;
};

const entries = () => performance.getEntriesByType('resource')
  .filter(e => /^\/_\/objects\/\d+\/\d+$/.test(new URL(e.name).pathname))
  .sort((a, b) => a.requestStart - b.requestStart || a.startTime - b.startTime);

function facts(list) {
  const start = Math.min(...list.map(e => e.startTime)), end = Math.max(...list.map(e => e.responseEnd));
  const bytes = list.reduce((n, e) => n + (e.transferSize || e.encodedBodySize), 0);
  const opened = list.filter(e => e.connectEnd > e.connectStart).length;
  const failed = tiles.filter(t => t.complete && !t.naturalWidth).length;
  const rows = [
    ['loaded', `${list.length - failed} of ${tiles.length}`], ['in all', ms(end - start)], ['octets, headers too', octets(bytes)],
    ['requests a second', Math.round(list.length / (end - start) * 1000).toLocaleString('en')],
    ['connections opened', opened + (opened ? '' : ' (reused)')],
    ['median wait for an answer', ms(median(list.map(e => e.responseStart - e.requestStart)))],
  ];
  if (failed) rows.push(['failed', String(failed)]);
  $('facts').replaceChildren(...rows.map(([k, v]) => {
    const li = document.createElement('li'), s = document.createElement('span'), b = document.createElement('b');
    s.textContent = k;
    b.textContent = v;
    li.append(s, b);
    return li;
  }));
}

function waterfall(list) {
  const canvas = $('fall'), css = getComputedStyle(document.documentElement);
  const colour = name => css.getPropertyValue(name).trim();
  const width = canvas.parentElement.clientWidth - 2 * parseFloat(getComputedStyle(canvas.parentElement).paddingLeft);
  const row = list.length > 1500 ? 1 : list.length > 300 ? 2 : list.length > 80 ? 5 : 10;
  const height = list.length * row + 24, scale = Math.min(devicePixelRatio || 1, 16000 / height);
  canvas.width = width * scale;
  canvas.height = height * scale;
  canvas.style.cssText = `width:${width}px;height:${height}px;display:block;margin-top:1rem`;
  const g = canvas.getContext('2d');
  g.scale(scale, scale);
  const start = Math.min(...list.map(e => e.startTime)), span = Math.max(...list.map(e => e.responseEnd)) - start || 1;
  const x = t => (t - start) / span * (width - 4) + 2;
  g.font = '12px monospace';
  g.fillStyle = colour('--soft');
  for (let i = 0; i <= 4; i++) {
    g.textAlign = i === 0 ? 'left' : i === 4 ? 'right' : 'center';
    g.fillText(ms(span * i / 4), x(start + span * i / 4), 12);
    g.globalAlpha = .35;
    g.fillRect(x(start + span * i / 4), 18, 1, height);
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

let pending = 0;
function refresh() {
  pending = 0;
  const list = entries();
  if (!list.length) return;
  facts(list);
  waterfall(list);
  $('note').textContent = list.some(e => e.connectEnd > e.connectStart)
    ? 'Yellow: a handshake. Every other row found a connection that was open already.'
    : 'No handshake at all: the connections were open already. Load again after a minute of silence to see them made anew.';
}
const later = () => { pending ||= setTimeout(refresh, 120); };

new PerformanceObserver(later).observe({ type: 'resource', buffered: true });
addEventListener('load', later);
addEventListener('resize', later);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', later);
