// The two charts of a connection, drawn by uPlot.
/* global uPlot */

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function octets(n) {
  if (n == null) return '–';
  if (n < 10_000) return `${Math.round(n)} B`;
  if (n < 10_000_000) return `${(n / 1000).toFixed(n < 100_000 ? 1 : 0)} kB`;
  if (n < 10e9) return `${(n / 1e6).toFixed(n < 100e6 ? 1 : 0)} MB`;
  return `${(n / 1e9).toFixed(1)} GB`;
}

const tick = n => n === 0 ? '0' : n < 1e6 ? `${+(n / 1e3).toFixed(1)} k` : n < 1e9 ? `${+(n / 1e6).toFixed(2)} M` : `${+(n / 1e9).toFixed(2)} G`;

function axes() {
  const font = '11px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace';
  const common = { stroke: css('--soft'), font, grid: { stroke: css('--line'), width: 1 }, ticks: { stroke: css('--line'), width: 1, size: 4 } };
  return [
    { ...common, size: 30, space: 60, values: (u, list) => list.map(v => `${+v.toFixed(1)} s`) },
    { ...common, size: 58, space: 34, values: (u, list) => list.map(tick) },
  ];
}

class Chart {
  constructor(place, key, series, extra = {}) {
    this.place = place;
    this.series = series;
    this.extra = extra;
    key.replaceChildren(...series.map(s => {
      const li = document.createElement('li'), mark = document.createElement('i');
      mark.style.setProperty('--c', `var(${s.color})`);
      li.append(mark, s.name);
      if (!s.silent) {
        s.out = document.createElement('b');
        li.append(' ', s.out);
      }
      return li;
    }));
    this.make();
    new ResizeObserver(() => this.fit()).observe(place);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.make());
  }

  make() {
    this.plot?.destroy();
    this.place.replaceChildren();
    this.plot = new uPlot({
      width: Math.max(this.place.clientWidth, 200), height: this.place.clientHeight || 260,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: () => this.range || [0, 30] }, y: { range: (u, lo, hi) => this.reach(lo, hi) } },
      axes: axes(),
      series: [{}, ...this.series.map(s => ({
        label: s.name, stroke: css(s.color), width: s.width ?? 1.8, dash: s.dash, spanGaps: true, points: { show: false },
        paths: s.stepped ? uPlot.paths.stepped({ align: 1 }) : undefined, show: !s.drawn,
      }))],
      hooks: { setCursor: [u => this.tell(u.cursor.idx)], draw: this.extra.draw ? [u => this.extra.draw(u, this.conn, css)] : [] },
    }, [[], ...this.series.map(() => [])], this.place);
    if (this.data) this.plot.setData(this.data);
  }

  reach(lo, hi) {
    const r = this.extra.reach?.(this.data, this.range) ?? [lo, hi];
    return r[1] > r[0] ? r : [0, 10_000];
  }

  fit() {
    const width = this.place.clientWidth;
    if (width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.place.clientHeight || 260 });
  }

  /** Draws data, of which the times in range are seen. */
  draw(data, range, conn) {
    Object.assign(this, { data, range, conn });
    this.plot.setData(data);
    if (this.plot.cursor.idx == null || this.plot.cursor.left < 0) this.tell(null);
  }

  /** Writes the values at an index, or the last ones, into the key. */
  tell(at) {
    if (!this.data) return;
    this.series.forEach((s, i) => {
      if (!s.out) return;
      const column = this.data[i + 1];
      let v = null;
      for (let n = at ?? column.length - 1; n >= 0 && v == null; n--) v = column[n];
      s.out.textContent = s.none && v == null ? s.none : octets(v);
      s.value = v;
    });
  }
}

/** The part of columns whose times, in the first, are not before t; one more for the line from outside. */
function since(columns, t) {
  let lo = 0, hi = columns[0].length;
  while (lo < hi) {
    const mid = lo + hi >> 1;
    if (columns[0][mid] < t) lo = mid + 1; else hi = mid;
  }
  return columns.map(c => c.slice(Math.max(lo - 1, 0)));
}

const most = column => column.reduce((m, v) => v > m ? v : m, 0);

export function windowsChart(place, key) {
  const series = [
    { name: 'cwnd', color: '--cwnd', width: 2.4, stepped: true },
    { name: 'ssthresh', color: '--thresh', dash: [6, 4], stepped: true, none: '∞' },
    { name: 'in flight', color: '--flight', stepped: true },
    { name: 'peer’s window', color: '--peer', dash: [2, 3], stepped: true },
  ];
  // A peer's window far above the rest would press that to the ground: it is drawn where it matters.
  const reach = data => {
    if (!data?.[0].length) return [0, 0];
    const rest = Math.max(most(data[1]), most(data[2]) <= 4 * most(data[1]) ? most(data[2]) : 0, most(data[3]));
    const peer = most(data[4]);
    return [0, Math.max(peer <= 1.5 * rest ? peer : 0, rest, 1) * 1.12];
  };
  const chart = new Chart(place, key, series, { reach });
  return (c, range) => {
    chart.draw(since(c.windows, range[0]), range, c);
    place.setAttribute('aria-label', 'Windows over time; now: ' + series.map(s => `${s.name} ${s.out.textContent}`).join(', '));
  };
}

export function sequenceChart(place, key) {
  const series = [
    { name: 'acknowledged', color: '--flight', stepped: true },
    { name: 'sent', color: '--cwnd', drawn: true },
    { name: 'sent again', color: '--again', drawn: true, silent: true },
  ];
  // Segments are upright strokes from their first octet to their last.
  const draw = (u, c, css) => {
    if (!c) return;
    const { ctx, bbox } = u, ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const again of [false, true]) {
      ctx.strokeStyle = css(again ? '--again' : '--cwnd');
      ctx.lineWidth = (again ? 3 : 1.6) * ratio;
      ctx.beginPath();
      for (const s of c.sent) {
        if (s.again !== again || s.t < u.scales.x.min) continue;
        const x = u.valToPos(s.t, 'x', true), low = u.valToPos(s.a, 'y', true), high = u.valToPos(s.b, 'y', true);
        const pad = again ? Math.max(0, 5 * ratio - (low - high)) / 2 : 0.5;
        ctx.moveTo(x, low + pad);
        ctx.lineTo(x, high - pad);
      }
      ctx.stroke();
    }
    ctx.restore();
  };
  const reach = data => {
    if (!data?.[0].length) return [0, 0];
    let lo = Infinity, hi = 0;
    for (const column of data.slice(1)) for (const v of column) if (v != null) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
    return lo < hi ? [lo - (hi - lo) * 0.04, hi + (hi - lo) * 0.06] : [0, 0];
  };
  const chart = new Chart(place, key, series, { reach, draw });
  return (c, range) => {
    const sent = c.sent.filter(s => s.t >= range[0]);
    const parts = [since(c.acked, range[0]), [sent.map(s => s.t), sent.map(s => s.b)]].map(distinct);
    const data = uPlot.join(parts);
    data.push(data[0].map(() => null));
    chart.draw(data, range, c);
    place.setAttribute('aria-label', `Sequence numbers over time; acknowledged ${series[0].out.textContent}, ` +
      `sent ${series[1].out.textContent}, ${sent.filter(s => s.again).length} segments sent again in view`);
  };
}

/** Of several values at one time the last. uPlot wants times to rise. */
function distinct([times, values]) {
  const t = [], v = [];
  times.forEach((time, i) => {
    if (t.length && t.at(-1) >= time) v[v.length - 1] = Math.max(v.at(-1), values[i]);
    else { t.push(time); v.push(values[i]); }
  });
  return [t, v];
}
