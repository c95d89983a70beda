/* The middle of the page: one incident, how far its words have come, and a tile for each channel. */

import { age, ask, call, h, sign, toast } from "./tools.js";
import { KINDS, PURPOSES, REASONS, SEVERITIES, STATES, at, channels } from "./words.js";

const operates = document.body.dataset.operates === "true";
const accounts = document.body.dataset.accounts === "true";
const TONES = { good: "angekommen", busy: "unterwegs", ask: "zu erledigen", bad: "gescheitert", gone: "erledigt" };

export function choose(incidents, chosen) {
  if (incidents.some((incident) => incident.id === chosen)) return chosen;
  return (incidents.find((incident) => incident.open) || incidents[0])?.id;
}

const toneOf = (delivery) => STATES[delivery.state][2];

/* The latest word of each channel, with those before it; channels keep their places. */
export function tilesOf(detail) {
  const purposes = Object.fromEntries(detail.alerts.map((alert) => [alert.id, alert.purpose]));
  const lanes = new Map();
  const inOrder = [...detail.deliveries].sort((a, b) => a.revision - b.revision);
  for (const delivery of inOrder) {
    const said = { ...delivery, purpose: purposes[delivery.alert], open: detail.open, before: [] };
    const last = lanes.get(delivery.channel);
    if (last) said.before = [...last.before, { purpose: last.purpose, state: last.state }];
    lanes.set(delivery.channel, said);
  }
  return [...lanes.values()].sort((a, b) => `${a.kind} ${a.title}`.localeCompare(`${b.kind} ${b.title}`, "de"));
}

export function tile(delivery) {
  const [word, mark, tone] = STATES[delivery.state];
  const again = delivery.state === "queued" && delivery.attempts > 0;
  const reason = delivery.reason ? REASONS[delivery.reason] || delivery.reason : "";
  return h(`article.tile.${tone}`, { id: `tile-${delivery.channel}` },
    h("header", {}, h("h3", {}, delivery.title), h("p", {}, KINDS[delivery.kind] || delivery.kind)),
    h("p.state", {}, sign(mark), h("span", {}, again ? "neuer Versuch folgt" : word)),
    reason || delivery.detail ? h("p.reason", { title: delivery.detail }, reason || delivery.detail) : null,
    delivery.doubtful ? h("p.reason", {}, "ein Versuch ist vielleicht angekommen") : null,
    h("p.facts", {}, h("span", {}, PURPOSES[delivery.purpose] || ""), h("span", {}, attempts(delivery.attempts)),
      again && delivery.due_at ? h("span", {}, `um ${at(delivery.due_at)}`) : null, h("span", {}, "seit ", age(delivery.changed_at))),
    before(delivery.before),
    h("p.links", {}, link(delivery), resend(delivery)));
}

const attempts = (number) => (number === 1 ? "1 Versuch" : `${number} Versuche`);

function before(earlier) {
  if (!earlier.length) return null;
  return h("ul.before", { title: "davor" }, earlier.map(({ purpose, state }) =>
    h(`li.${STATES[state][2]}`, { title: STATES[state][0] }, sign(STATES[state][1]), PURPOSES[purpose] || "")));
}

function link(delivery) {
  if (!/^https?:/.test(delivery.url)) return null;
  return h("a", { href: delivery.url, target: "_blank", rel: "noreferrer" }, "ansehen");
}

function resend(delivery) {
  if (!operates || !delivery.open || delivery.state !== "failed") return null;
  const act = () => call("POST", `deliveries/${encodeURIComponent(delivery.id)}/resend`, {});
  const effect = `Der Text geht noch einmal an: ${delivery.title}.`;
  return h("button.plain", { id: `resend-${delivery.channel}`, onclick: () => ask({
    title: "Noch einmal senden?", effect, yes: "Noch einmal senden", act }) }, "noch einmal senden");
}

export function lead(detail) {
  const latest = tilesOf(detail);
  const tones = {};
  for (const delivery of latest) tones[toneOf(delivery)] = (tones[toneOf(delivery)] || 0) + 1;
  return h("div", {},
    h("p.over", {}, `${detail.title}${detail.severity ? ` · ${SEVERITIES[detail.severity]}` : ""} · ${detail.id}`),
    h("h2", {}, detail.place || detail.id),
    h("p.sum", {}, h("strong", {}, `${tones.good || 0} von ${latest.length}`), latest.length === 1 ? " Kanal erreicht" : " Kanälen erreicht",
      h("span.facts", {}, ` · Stand ${detail.revision} · ${detail.open ? "offen" : "beendet"} · seit `, age(detail.opened_at))),
    meter(tones),
    operates && detail.open && detail.playbook ? actions(detail) : null);
}

function meter(tones) {
  const shown = Object.keys(TONES).filter((tone) => tones[tone]);
  const parts = shown.map((tone) => {
    const part = h(`span.${tone}`, {}, `${tones[tone]} ${TONES[tone]}`);
    part.style.flexGrow = tones[tone];
    return part;
  });
  return h("div.meter", {}, parts);
}

function actions(detail) {
  const ends = `Geht auf ${channels(detail.reach.end)} hinaus. Danach verlässt kein früherer Text zu diesem Vorfall mehr das Haus.`;
  return h("div.actions", {},
    speak(detail, { path: "update", title: "Lage dauert an" }),
    detail.updates.map((update) => speak(detail, { path: "update", ...update })),
    accounts ? assign(detail) : null,
    h("span.gap"),
    speak(detail, { path: "all-clear", title: "Entwarnung", effect: ends, tone: "good" }),
    speak(detail, { path: "false-alarm", title: "Fehlalarm", effect: ends, tone: "warn" }));
}

function speak(detail, { path, title, name = "", facts = [], effect = "", tone = "" }) {
  const act = async (key, inputs) => {
    const given = inputs.filter(([, input]) => input.value).map(([spec, input]) => [spec.name, valueOf(spec, input.value)]);
    const body = { name, facts: Object.fromEntries(given) };
    const alert = await call("POST", `incidents/${encodeURIComponent(detail.id)}/${path}`, body, { "Idempotency-Key": key });
    toast(alert.state === "held" ? `${title}: wartet auf Freigabe` : `${title} geht auf ${channels(alert.channels)} hinaus`);
  };
  const open = () => {
    const inputs = facts.map((spec) => [spec, h("input", { required: spec.required, maxLength: 500, placeholder: `z. B. ${spec.sample}` })]);
    ask({
      title: `${title}: ${detail.place || detail.id}?`, yes: `${title} senden`, tone: tone || "main",
      effect: effect || `Geht auf ${channels(detail.reach.update)} hinaus.`,
      fields: inputs.map(([spec, input]) => ({ label: spec.name, input })), act: (key) => act(key, inputs),
    });
  };
  return h(`button${tone ? `.${tone}` : ""}`, { id: `say-${path}-${name}`, onclick: open }, title);
}

/* Who is at work on it says nothing about it: their own accounts stay silent from now on. */
function assign(detail) {
  const officers = h("input", { required: true, placeholder: "z. B. 4711 4712" });
  const act = async () => {
    const given = officers.value.split(/[\s,;]+/).filter(Boolean);
    const now = await call("POST", `incidents/${encodeURIComponent(detail.id)}/assign`, { officers: given });
    toast(`Im Einsatz: ${now.assigned}. Eigene Konten, die dazu schweigen: ${now.left_out.length}.`);
  };
  const effect = "Auf eigenen Konten dieser Kräfte geht zu diesem Vorfall nichts mehr hinaus, nur das Ende dorthin, wo schon ein Text steht.";
  return h("button.plain", { id: "assign", onclick: () => ask({
    title: `Im Einsatz: ${detail.place || detail.id}`, effect, yes: "Eintragen",
    fields: [{ label: "Dienstnummern, mit Leerzeichen getrennt", input: officers }], act }) }, "Kräfte im Einsatz");
}

export const valueOf = (spec, text) => (spec.type === "number" && !Number.isNaN(Number(text)) ? Number(text) : text);
