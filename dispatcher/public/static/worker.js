const tell = (method, body) =>
  fetch(self.registration.scope, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

self.addEventListener("push", (event) => {
  let said = {};
  try { said = event.data.json(); } catch { /* a browser that shows nothing loses its permission */ }
  event.waitUntil(self.registration.showNotification(said.title || "Warnung", {
    body: said.body || "", tag: said.tag || "warning", lang: said.lang || "de", icon: "/push/icon.svg",
    requireInteraction: true, data: { url: said.url || "" },
  }));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(event.notification.data.url || self.registration.scope));
});

// The push service gave this browser another address: whoever signed up must not fall silent because of it.
self.addEventListener("pushsubscriptionchange", (event) => {
  event.waitUntil((async () => {
    const old = event.oldSubscription;
    const fresh = event.newSubscription ?? (await self.registration.pushManager.subscribe(old.options));
    const { endpoint, keys } = fresh.toJSON();
    await tell("POST", { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth }, replaces: old ? old.endpoint : "" });
  })());
});
