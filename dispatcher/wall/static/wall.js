"use strict";

const NAMES = {
  whatsapp: "WhatsApp-Kanal", facebook: "Facebook-Seite", mastodon: "Mastodon", website: "Website", ntfy: "Push-Nachricht",
  sms: "SMS", email: "E-Mail",
  mqtt: "Sirene, Anzeige", whatsapp_cloud: "WhatsApp-Nachricht", fcm: "App", web_push: "Browser",
  linkedin: "LinkedIn-Seite", bluesky: "Bluesky", instagram: "Instagram", threads: "Threads", x: "X", telegram: "Telegram-Kanal",
  matrix: "Matrix-Raum", slack: "Slack-Kanal", signal: "Signal-Gruppe", teams: "Teams-Kanal", gotify: "Push-Nachricht",
  apprise: "Über Apprise",
};
const DRILL = /ÜBUNG|EXERCISE/;
const WAVE_GAP = 5000;
const byId = (id) => document.getElementById(id);
const time = new Intl.DateTimeFormat("de-DE", { timeStyle: "medium" });
const seconds = new Intl.NumberFormat("de-DE", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

let titles = {};
let posts = new Map();
let cards = new Map();

function cardOf(account) {
  if (!cards.has(account)) {
    const card = byId("card").content.firstElementChild.cloneNode(true);
    card.querySelector("h2").textContent = (titles[account] || account).replaceAll("/", "/\u200b");
    card.querySelector("use").setAttribute("href", "/_wall/static/icon.svg#unknown");
    cards.set(account, card);
    byId("cards").append(card);
  }
  return cards.get(account);
}

/* Posts that came less than five seconds after one another are one wave; its first one is where lags count from. */
function waveStart(order) {
  let start = posts.get(order).received_ms;
  for (let n = order - 1; posts.has(n) && start - posts.get(n).received_ms < WAVE_GAP; n -= 1) start = posts.get(n).received_ms;
  return start;
}

function lag(post) {
  return `+${seconds.format((post.received_ms - waveStart(post.order)) / 1000)} s`;
}

function changes(post) {
  if (post.deleted_ms) return `gelöscht ${time.format(post.deleted_ms)}`;
  const marks = post.edited_ms ? [`bearbeitet ${time.format(post.edited_ms)}`] : [];
  if (post.repeats) marks.push(`${post.repeats}-mal wiederholt, einmal gezeigt`);
  return marks.join(" · ");
}

function fill(item, post) {
  item.classList.toggle("deleted", Boolean(post.deleted_ms));
  item.classList.toggle("drill", DRILL.test(post.text));
  item.querySelector(".text").textContent = post.text;
  item.querySelector("time").textContent = time.format(post.received_ms);
  item.querySelector("time").dateTime = new Date(post.received_ms).toISOString();
  item.querySelector(".lag").textContent = lag(post);
  item.querySelector(".changed").textContent = changes(post);
  picture(item.querySelector(".image"), post);
}

/* What was uploaded lies here and is shown; what lies elsewhere is not fetched. */
function picture(image, post) {
  image.hidden = !post.image.startsWith("/");
  image.alt = post.alt;
  if (!image.hidden && image.getAttribute("src") !== post.image) image.setAttribute("src", post.image);
}

function show(post, live) {
  const card = cardOf(post.account);
  card.classList.add(post.service);
  card.querySelector(".service").textContent = NAMES[post.service];
  card.querySelector("use").setAttribute("href", `/_wall/static/icon.svg#${post.service}`);
  card.querySelector(".waiting").hidden = true;
  let item = byId(`post-${post.order}`);
  posts.set(post.order, post);
  if (!item) {
    item = byId("post").content.firstElementChild.cloneNode(true);
    item.id = `post-${post.order}`;
    item.classList.toggle("new", live);
    card.querySelector(".posts").prepend(item);
  }
  fill(item, post);
  card.querySelector(".count").textContent = card.querySelectorAll(".post").length;
}

function summarise() {
  byId("channels").textContent = cards.size;
  byId("posts").textContent = posts.size;
  byId("empty").hidden = cards.size > 0;
  byId("exercise").hidden = ![...posts.values()].some((post) => DRILL.test(post.text));
  const last = posts.get(posts.size);
  if (!last) return;
  const start = waveStart(last.order);
  const wave = [...posts.values()].filter((post) => post.received_ms >= start);
  const reached = new Set(wave.map((post) => post.account)).size;
  byId("wave").textContent = `${reached} in ${seconds.format((last.received_ms - start) / 1000)} s`;
}

function reset(snapshot) {
  titles = snapshot.titles;
  posts = new Map();
  cards = new Map();
  byId("cards").replaceChildren();
  Object.keys(titles).forEach(cardOf);
  snapshot.posts.forEach((post) => show(post, false));
  summarise();
}

function link(state, text) {
  byId("link").className = `link ${state}`;
  byId("link").textContent = text;
}

const stream = new EventSource("/_wall/stream");
stream.addEventListener("open", () => link("on", "live"));
stream.addEventListener("error", () => link("off", "getrennt – verbindet neu"));
stream.addEventListener("snapshot", (event) => reset(JSON.parse(event.data)));
stream.addEventListener("post", (event) => {
  show(JSON.parse(event.data), true);
  summarise();
});

const tick = () => { byId("clock").textContent = time.format(Date.now()); };
setInterval(tick, 1000);
tick();
