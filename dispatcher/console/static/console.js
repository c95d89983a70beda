/* The control room's page: one snapshot for everything, one incident in full, both fetched anew when the log moves on. */

import { choose, lead, tile, tilesOf } from "./board.js";
import { raise } from "./raise.js";
import { byHand, held, letter, page } from "./side.js";
import { Refused, age, byId, call, grow, h, list, sign } from "./tools.js";
import { SEVERITIES, now, ready } from "./words.js";

const PAUSE = 150;
const READY_EVERY = 10000;

let snapshot = null;
let live = false;
let titles = {};
let chosen = null;
let waiting = null;
let busy = false;

function incidentItem(incident) {
  const done = (incident.deliveries.accepted || 0) + (incident.deliveries.visible || 0);
  const bad = (incident.deliveries.failed || 0) + (incident.deliveries.expired || 0);
  const button = h("button.incident", { id: `incident-${incident.id}`, onclick: () => { chosen = incident.id; refresh(); } },
    h("strong", {}, incident.place || incident.id),
    h("span", {}, titles[incident.playbook] || incident.kind, incident.severity ? ` · ${SEVERITIES[incident.severity]}` : ""),
    h("span.facts", {}, h("span", {}, incident.open ? "offen" : "beendet"), " · Stand ", String(incident.revision), " · seit ",
      age(incident.opened_at)),
    h("span.facts", {}, sign("check"), ` ${done} angekommen`, bad ? h("span.bad", {}, " · ", sign("cross"), ` ${bad} gescheitert`) : null));
  if (!incident.open) button.classList.add("closed");
  if (incident.chosen) button.setAttribute("aria-current", "true");
  return h("li", {}, button);
}

function readyItem([name, good]) {
  return h(`li.${good ? "good" : "bad"}`, {}, sign(good ? "check" : "cross"), ready(name, good));
}

function count(name, number) {
  byId(`${name}-count`).textContent = number || "";
}

function showAll(detail) {
  const items = snapshot.incidents.map((incident) => ({ ...incident, chosen: incident.id === detail?.id }));
  list(byId("incidents"), items, (incident) => incident.id, incidentItem);
  list(byId("ready"), Object.entries({ ...snapshot.ready, stream: live }), ([name]) => name, readyItem);
  list(byId("held"), snapshot.held, (alert) => alert.id, (alert) => held(alert, titles));
  list(byId("by-hand"), snapshot.by_hand, (task) => task.id, byHand);
  list(byId("pages"), snapshot.pages, (alert) => alert.id, page);
  list(byId("letters"), snapshot.letters, (one) => one.number, letter);
  list(byId("lead"), detail ? [detail] : [], (one) => one.id, lead);
  list(byId("tiles"), detail ? tilesOf(detail) : [], (one) => one.channel, tile);
  count("open", snapshot.incidents.filter((incident) => incident.open).length);
  count("by-hand", snapshot.by_hand.length);
  count("pages", snapshot.pages.length);
  count("letters", snapshot.letters.length);
  byId("quiet").hidden = Boolean(detail);
  showProblems(snapshot.problems);
  showChannels(snapshot.channels);
}

function showChannels({ ready = 0, degraded = 0, down = 0, unknown = 0 }) {
  const link = byId("channels");
  link.className = `ready-board ${down ? "bad" : degraded ? "ask" : "good"}`;
  link.replaceChildren(sign(down ? "cross" : degraded ? "doubt" : "check"),
    ` ${ready} von ${ready + degraded + down} Kanälen bereit`, unknown ? `, ${unknown} nicht prüfbar` : "");
}

function showProblems(problems) {
  byId("problems").hidden = problems.length === 0;
  byId("problems").firstElementChild.textContent = `Konfiguration: ${problems.length} Hinweise`;
  list(byId("problems").lastElementChild, problems, (problem) => problem, (problem) => h("li", {}, problem));
}

async function look() {
  snapshot = await call("GET", "snapshot");
  snapshot.incidents.sort((a, b) => b.opened_at.localeCompare(a.opened_at));
  const wanted = choose(snapshot.incidents, chosen);
  const detail = wanted ? await call("GET", `incidents/${encodeURIComponent(wanted)}`) : null;
  showAll(detail);
}

/* One look at a time; what changes meanwhile is worth one more. */
async function refresh() {
  if (busy) { waiting ??= setTimeout(later, PAUSE); return; }
  busy = true;
  try {
    await look();
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError)) throw error;
    live = false;
  } finally {
    busy = false;
  }
}

function later() {
  waiting = null;
  refresh();
}

function soon() {
  waiting ??= setTimeout(later, PAUSE);
}

function follow() {
  const stream = new EventSource("/api/v1/stream");
  stream.onopen = () => { live = true; soon(); };
  stream.onmessage = soon;
  stream.addEventListener("snapshot", soon);
  stream.onerror = () => {
    live = false;
    soon();
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 3000);
  };
}

function tick() {
  byId("clock").textContent = now();
  grow();
}

const books = (await call("GET", "playbooks")).playbooks;
titles = Object.fromEntries(books.map((book) => [book.id, book.title]));
byId("logout").onclick = async () => { await call("DELETE", "session"); location.assign("/login"); };
byId("ask-no").onclick = () => byId("ask").close();
byId("raise")?.addEventListener("click", () => raise(books, (incident) => { chosen = incident; soon(); }));
tick();
setInterval(tick, 1000);
setInterval(soon, READY_EVERY);
follow();
refresh();
