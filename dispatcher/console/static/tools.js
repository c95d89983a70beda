/* Small tools: elements from data, lists that keep what did not change, the interface, and the one dialog. */

import { since } from "./words.js";

export const byId = (id) => document.getElementById(id);

/* h("p.class", {property: value}, ...children): text is only ever text, never markup. */
export function h(what, properties = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = Object.assign(document.createElement(tag), properties);
  if (classes.length) element.classList.add(...classes);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function sign(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/static/signs.svg#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("sign");
  svg.append(use);
  return svg;
}

export const age = (iso) => h("time.age", { dateTime: iso, title: new Date(iso).toLocaleString("de-DE") }, since(iso));

export function grow() {
  for (const element of document.querySelectorAll("time.age")) element.textContent = since(element.dateTime);
}

/* Show items in order. An element stays as long as its item says the same, so that focus and selection survive. */
export function list(container, items, key, make) {
  const old = new Map([...container.children].map((child) => [child.dataset.key, child]));
  const focused = document.activeElement?.id;
  const elements = items.map((item) => {
    const said = JSON.stringify(item);
    const kept = old.get(String(key(item)));
    if (kept?.said === said) return kept;
    const element = make(item);
    element.dataset.key = key(item);
    element.said = said;
    if (kept) element.classList.add("changed");
    return element;
  });
  const same = elements.length === container.children.length && elements.every((e, at) => e === container.children[at]);
  if (!same) container.replaceChildren(...elements);
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus();
}

export class Refused extends Error {}

export async function call(method, path, body, headers = {}) {
  const response = await fetch(`/api/v1/${path}`, {
    method, headers: { ...(body && { "Content-Type": "application/json" }), ...headers }, body: body && JSON.stringify(body),
  });
  if (response.status === 401) location.assign("/login");
  if (response.ok) return response.status === 204 ? null : response.json();
  const problem = await response.json().catch(() => ({ detail: response.statusText }));
  throw new Refused(problem.detail);
}

let hiding;
export function toast(text) {
  byId("toast").textContent = text;
  byId("toast").hidden = false;
  clearTimeout(hiding);
  hiding = setTimeout(() => { byId("toast").hidden = true; }, 6000);
}

/* Ask before doing: what happens, on how many channels. Stays open with the reason where it is refused. */
export function ask({ title, effect, yes, tone = "main", fields = [], more = null, act }) {
  const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
  byId("ask-title").textContent = title;
  byId("ask-effect").textContent = effect;
  byId("ask-fields").replaceChildren(...fields.map((field) => h("label", {}, field.label, field.input)));
  byId("ask-more").replaceChildren(...(more ? [more] : []));
  byId("ask-error").textContent = "";
  Object.assign(byId("ask-yes"), { textContent: yes, className: tone, disabled: false });
  byId("ask").onsubmit = async (event) => {
    event.preventDefault();
    byId("ask-yes").disabled = true;
    try {
      if ((await act(key)) !== false) byId("ask").close();
    } catch (error) {
      byId("ask-error").textContent = `Abgelehnt: ${error.message}`;
    }
    byId("ask-yes").disabled = false;
  };
  if (byId("ask").open) byId("ask-no").focus(); // so that a second Enter does not say yes unseen
  else byId("ask").showModal();
}
