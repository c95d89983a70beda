/* Raising an alarm by hand: choose, look at every text, then let it out. What was seen is what is sent. */

import { texts } from "./side.js";
import { ask, byId, call, h, toast } from "./tools.js";
import { channels } from "./words.js";

export function raise(books, raised) {
  const book = h("select", { required: true }, books.map((one) => h("option", { value: one.id }, one.title)));
  const place = h("input", { required: true, maxLength: 80, placeholder: "wie die Öffentlichkeit es lesen soll" });
  const options = [...byId("regions").content.children].map((option) => option.cloneNode(true));
  const regions = h("select", { required: true, multiple: true, size: Math.min(options.length, 8) }, options);
  if (options.length === 1) options[0].selected = true;
  const fields = [
    { label: "Einsatzplan", input: book }, { label: "Ort", input: place }, { label: "Gebiet (mehrere mit Strg)", input: regions },
  ];
  const act = async (key) => {
    const wanted = { place: place.value, regions: [...regions.selectedOptions].map((option) => option.value) };
    const seen = await call("POST", `playbooks/${book.value}/preview`, wanted, { "Idempotency-Key": key });
    confirm(book, wanted, seen, raised);
    return false;
  };
  ask({ title: "Alarm auslösen", effect: "Noch geht nichts hinaus: zuerst kommt die Vorschau.", yes: "Vorschau", fields, act });
}

function confirm(book, wanted, seen, raised) {
  const waits = seen.people > 1 ? " Danach fehlt noch die Freigabe einer zweiten Person." : " Die Texte gehen sofort hinaus.";
  const act = async () => {
    const body = { ...wanted, digest: seen.digest, as_of: seen.as_of };
    const done = await call("POST", `playbooks/${book.value}/trigger`, body, { "Idempotency-Key": seen.key });
    raised(done.incident);
    toast(done.alerts[0]?.state === "held" ? "Ausgelöst: wartet auf Freigabe." : `Ausgelöst auf ${channels(seen.channels)}.`);
  };
  ask({
    title: `${book.selectedOptions[0].text}: ${wanted.place}`, effect: `${seen.channels} Kanäle.${waits}`, yes: "Jetzt auslösen", tone: "bad",
    more: h("div.preview", {}, seen.notes.map((note) => h("p.reason", {}, note)), texts(seen.texts)), act,
  });
}
