const byId = (id) => document.getElementById(id);
const here = location.pathname;
const say = (text) => { byId("state").textContent = text; };
const able = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;

async function worker() {
  await navigator.serviceWorker.register("/push/worker.js", { scope: here });
  return navigator.serviceWorker.ready;
}

async function current() {
  const known = await navigator.serviceWorker.getRegistration(here);
  return known ? known.pushManager.getSubscription() : null;
}

const tell = (method, body) =>
  fetch(here, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

function show(on) {
  byId("begin").textContent = on ? "Auswahl ändern" : "Warnungen einschalten";
  byId("end").hidden = !on;
}

async function begin() {
  if ((await Notification.requestPermission()) !== "granted") return say("Ihr Browser erlaubt hier keine Mitteilungen.");
  const manager = (await worker()).pushManager;
  const options = { userVisibleOnly: true, applicationServerKey: document.body.dataset.key };
  const subscription = (await manager.getSubscription()) ?? (await manager.subscribe(options));
  const { endpoint, keys } = subscription.toJSON();
  const regions = [...document.querySelectorAll("input[name=region]:checked")].map((box) => box.value);
  const answer = await tell("POST", { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth }, regions });
  if (!answer.ok) return say("Das hat nicht geklappt. Bitte später noch einmal versuchen.");
  show(true);
  say("Eingeschaltet. Die nächste Warnung kommt hier an.");
}

async function end() {
  const subscription = await current();
  if (subscription) {
    await tell("DELETE", { endpoint: subscription.endpoint });
    await subscription.unsubscribe();
  }
  show(false);
  say("Ausgeschaltet. Ihre Daten sind gelöscht.");
}

const guarded = (work) => (event) => {
  event.preventDefault();
  work().catch(() => say("Das hat nicht geklappt. Bitte später noch einmal versuchen."));
};

if (able) {
  byId("form").addEventListener("submit", guarded(begin));
  byId("end").addEventListener("click", guarded(end));
  current().then((subscription) => show(subscription !== null), () => show(false));
} else {
  byId("begin").disabled = true;
  say("Dieser Browser kann keine Mitteilungen empfangen.");
}
