// What the page knows of the stack: connections with their curves, and the last events.

const keepCurve = 6000; // points of a curve
const keepLines = 400;

/** The connections by their names. Those that have ended stay for a while. */
export const conns = new Map();
export let lines = [];
export let stats = null;
export const missed = { skipped: 0, lost: 0, left: 0 };

/** How long an ended connection stays in the table, ms. */
const mourn = 60_000;

function blank(id) {
  const [remote, local] = id.split('>');
  return {
    id, remote, local, row: null, over: 0, absent: 0, own: false, moved: 0, movedAt: 0, state: '', path: [],
    windows: [[], [], [], [], []], sent: [], acked: [[], []],
  };
}

function get(id) {
  let c = conns.get(id);
  if (!c) conns.set(id, c = blank(id));
  return c;
}

/** A new stream counts time and sequence numbers anew. */
export function reset() {
  for (const [id, c] of conns) {
    if (c.over) conns.delete(id);
    else Object.assign(c, { windows: [[], [], [], [], []], sent: [], acked: [[], []], path: [], state: '' });
  }
  lines = [];
  stats = null;
  Object.assign(missed, { skipped: 0, lost: 0, left: 0 });
}

/** Takes the message "table". */
export function takeTable(t, now) {
  const before = stats;
  stats = t;
  stats.at = now;
  if (before) {
    const seconds = Math.max(now - before.at, 1) / 1000;
    stats.packetRate = (t.packets_in - before.packets_in) / seconds;
    stats.segmentRate = (t.segments_out - before.segments_out) / seconds;
  }
  const here = new Set();
  for (const row of t.conns) {
    here.add(row.id);
    const c = get(row.id);
    if (c.over) { // the same ends again
      conns.delete(row.id);
      continue;
    }
    const octets = row.bytes_in + row.bytes_out;
    if (c.row && octets > c.octets) {
      c.moved = octets - c.octets;
      c.movedAt = now;
    } else if (now - c.movedAt > 1500) c.moved = 0;
    c.octets = octets;
    c.row = row;
    c.absent = 0;
    c.own = !!row.own;
    enter(c, row.state);
    // A connection that rests has windows all the same.
    if (!c.own && t.now / 1000 - (c.windows[0].at(-1) ?? -1) > 0.4) addWindows(c, t.now, row.cwnd, row.ssthresh, row.in_flight, row.peer_window);
  }
  for (const [id, c] of conns) {
    // A table is ahead of the events: they may have yet to tell how it ended.
    if (!here.has(id) && !t.more && !c.over && c.row && ++c.absent > 1) end(c, 'CLOSED', now);
    if (c.over && now - c.over > mourn) conns.delete(id);
  }
}

function enter(c, state) {
  if (!state || state === c.state) return;
  c.state = state;
  if (c.path.at(-1) !== state) c.path.push(state);
}

function end(c, state, now) {
  enter(c, state);
  c.over = now;
  c.moved = 0;
}

/** Whether the same ends begin anew: what else is told of a connection that is over belongs to its end. */
function opens(f) {
  return (f.states || []).some(([, state]) => state === 'LISTEN' || state === 'SYN-SENT');
}

/** Takes the message "trace". */
export function takeTrace(b, now) {
  for (const [id, f] of Object.entries(b.flows)) {
    let c = get(id);
    if (c.over && opens(f)) {
      conns.delete(id);
      c = get(id);
    }
    for (const w of f.windows || []) addWindows(c, ...w);
    for (const s of f.sent || []) c.sent.push({ t: s.t / 1000, a: s.a, b: s.b, again: !!s.again });
    for (const [t, n] of f.acked || []) { c.acked[0].push(t / 1000); c.acked[1].push(n); }
    for (const [, state] of f.states || []) enter(c, state);
    if (!c.over && (c.state === 'TIME-WAIT' || c.state === 'CLOSED')) end(c, c.state, now);
    missed.left += f.left || 0;
    trim(c);
  }
  lines.push(...b.lines);
  if (lines.length > keepLines) lines = lines.slice(-keepLines);
  missed.skipped += b.skipped;
  missed.lost += b.lost;
}

/** Adds a point to the curves of windows. Times do not go back: a look at the table may have been ahead of its events. */
function addWindows(c, t, cwnd, ssthresh, inFlight, peer) {
  [Math.max(t / 1000, c.windows[0].at(-1) || 0), cwnd, ssthresh || null, inFlight, peer].forEach((v, i) => c.windows[i].push(v));
}

function trim(c) {
  for (const list of [c.windows, c.acked]) {
    const n = list[0].length - keepCurve;
    if (n > 0) for (const column of list) column.splice(0, n);
  }
  if (c.sent.length > keepCurve) c.sent.splice(0, c.sent.length - keepCurve);
}

/** The connection that has moved most lately; those that carry pages like this do not count. */
export function busiest() {
  let best = null;
  for (const c of conns.values()) {
    if (c.own || c.over || !c.row) continue;
    if (!best || c.moved > best.moved || c.moved === best.moved && c.octets > best.octets) best = c;
  }
  return best;
}
