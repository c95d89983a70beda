/* What waits for a person: releases, posts by hand; and what went wrong on the way in. */

import { age, ask, call, h, sign, toast } from "./tools.js";
import { CAUSES, KINDS, PURPOSES, STATES, channels } from "./words.js";

const { operates, person } = document.body.dataset;

/* A fallback speaks only where one of those fails that it stands by for. */
const reserve = (use) => (use.fallback_of.length ? ` – ${STATES.standby[0]} für ${use.fallback_of.join(", ")}` : "");

export function texts(found) {
  return found.map((text) => h("details.text", { open: found.length === 1 },
    h("summary", {}, `${channels(text.channels.length).replace("einem Kanal", "1 Kanal").replace("Kanälen", "Kanäle")} · ${text.languages.join(", ")}`),
    h("p.uses", {}, text.channels.map((use) => `${use.title}${use.limit ? ` (${use.length} von ${use.limit})` : ""}${reserve(use)}`).join(" · ")),
    h("pre", {}, text.body)));
}

export function held(alert, titles) {
  const needed = `${alert.released_by.length} von ${alert.people} ${alert.people === 1 ? "Person" : "Personen"}`;
  const who = alert.released_by.length ? `: ${alert.released_by.join(", ")}` : "";
  return h("article.card.ask", {},
    h("header", {}, sign("pause"), h("h3", {}, `${PURPOSES[alert.purpose]} wartet auf Freigabe: ${alert.place}`), age(alert.created_at)),
    h("p.facts", {}, `${titles[alert.playbook] || alert.playbook} · ${alert.code} · freigegeben von ${needed}${who}`),
    alert.widest ? h("p.facts", {}, CAUSES.widest) : null,
    texts(alert.texts),
    operates === "true" && h("p.buttons", {}, reject(alert), release(alert)));
}

function release(alert) {
  if (alert.released_by.includes(person)) return h("span.facts", {}, "Ihre Freigabe zählt schon.");
  const act = async () => {
    const now = await call("POST", `alerts/${alert.id}/release`, { digest: alert.digest });
    toast(now.state === "held" ? "Freigabe zählt. Es fehlt noch eine Person." : "Freigegeben: der Text geht hinaus.");
  };
  const last = alert.released_by.length + 1 >= alert.people;
  const effect = last ? `Der Text geht sofort auf ${channels(alert.channels)} hinaus.` : "Danach fehlt noch die Freigabe einer zweiten Person.";
  return h("button.good", { id: `release-${alert.id}`, onclick: () => ask({
    title: `${PURPOSES[alert.purpose]} freigeben: ${alert.place}?`, effect, yes: "Freigeben", tone: "good", act }) }, "Freigeben");
}

function reject(alert) {
  const reason = h("input", { maxLength: 500 });
  const act = () => call("POST", `alerts/${alert.id}/reject`, { reason: reason.value });
  return h("button.plain", { id: `reject-${alert.id}`, onclick: () => ask({
    title: `${PURPOSES[alert.purpose]} ablehnen: ${alert.place}?`, effect: "Dieser Text geht nirgends hinaus.", yes: "Ablehnen",
    tone: "bad", fields: [{ label: "Grund", input: reason }], act }) }, "Ablehnen");
}

export function byHand(task) {
  const body = h("pre", { tabIndex: 0 }, task.body);
  return h("article.card.ask", {},
    h("header", {}, sign(STATES.by_hand[1]), h("h3", {}, task.title), age(task.changed_at)),
    h("p.facts", {}, `${KINDS[task.kind] || task.kind} · ${PURPOSES[task.purpose]} · ${task.place}`),
    body,
    h("p.buttons", {},
      /^https?:/.test(task.url) ? h("a", { href: task.url, target: "_blank", rel: "noreferrer" }, "Kanal öffnen") : null,
      h("button.plain", { id: `copy-${task.id}`, onclick: () => copy(body) }, "Text kopieren"),
      operates === "true" && h("button.good", { id: `posted-${task.id}`, onclick: () => posted(task) }, "Gepostet")));
}

async function copy(element) {
  getSelection().selectAllChildren(element);
  try {
    await navigator.clipboard.writeText(element.textContent);
    toast("Text kopiert.");
  } catch {
    toast("Text ist markiert: bitte mit Strg+C kopieren.");
  }
}

function posted(task) {
  const url = h("input", { type: "url", placeholder: "https:// … (freiwillig)" });
  const act = () => call("POST", `deliveries/${encodeURIComponent(task.id)}/confirm`, { url: url.value });
  ask({ title: `Gepostet: ${task.title}?`, effect: "Bestätigt mit Ihrem Namen, dass der Text dort steht.", yes: "Ja, er steht dort",
    tone: "good", fields: [{ label: "Adresse des Beitrags", input: url }], act });
}

export function page(alert) {
  return h("details.card", {},
    h("summary", {}, h("span", {}, CAUSES[alert.name] || alert.name), age(alert.created_at)), h("pre", {}, alert.body));
}

export function letter(one) {
  return h("details.card", {},
    h("summary", {}, h("span", {}, `${one.source}: ${one.reason}`), age(one.received_at)), h("pre", {}, one.payload));
}
