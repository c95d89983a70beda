/* The board: how ready each channel is; fetched anew when the log moves on, and now and then, for probes move no log. */

import { Refused, age, byId, call, grow, h, list, sign } from "./tools.js";
import { KINDS, READINESS, REASONS, REMEDIES } from "./words.js";

const PAUSE = 500;
const EVERY = 10000;
const WORST_FIRST = ["down", "degraded", "unknown", "ready"];

let waiting = null;

const day = (iso) => new Date(iso).toLocaleDateString("de-DE");
const ago = (iso) => (iso ? age(iso) : "–");

function why(channel) {
  if (channel.state === "unknown") return channel.checked_at ? "ohne Post nicht prüfbar" : "noch nicht geprüft";
  if (channel.reason === "expired") return "Zugang läuft ab";
  return channel.reason ? REASONS[channel.reason] || channel.reason : "";
}

function row(channel) {
  const [word, mark, tone] = READINESS[channel.state];
  const reason = why(channel);
  return h(`tr.${tone}`, { id: `channel-${channel.channel}` },
    h("td", {}, h("strong", {}, channel.title), h("small", {}, KINDS[channel.kind] || channel.kind)),
    h("td.state", {}, sign(mark), ` ${word}`),
    h("td", {}, reason, channel.state === "unknown" ? null : h("small", {}, channel.detail),
      channel.remedy ? h("small", {}, REMEDIES[channel.reason] || channel.remedy) : null),
    h("td", {}, ago(channel.since)),
    h("td", {}, ago(channel.checked_at)),
    h("td", {}, channel.valid_until ? day(channel.valid_until) : "–"),
    h("td", {}, channel.left === null ? "–" : String(channel.left)),
    h("td", {}, channel.proven_at ? day(channel.proven_at) : "nie", channel.canary ? h("small", {}, channel.canary) : null));
}

async function refresh() {
  waiting = null;
  try {
    const { channels } = await call("GET", "readiness");
    channels.sort((a, b) => WORST_FIRST.indexOf(a.state) - WORST_FIRST.indexOf(b.state) || a.title.localeCompare(b.title, "de"));
    list(byId("board"), channels, (channel) => channel.channel, row);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError)) throw error;
  }
}

function soon() {
  waiting ??= setTimeout(refresh, PAUSE);
}

function follow() {
  const stream = new EventSource("/api/v1/stream");
  stream.onopen = soon;
  stream.onmessage = soon;
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000); };
}

setInterval(grow, 1000);
setInterval(soon, EVERY);
follow();
refresh();
