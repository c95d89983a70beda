const byId = (id) => document.getElementById(id);

byId("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = JSON.stringify({ token: byId("token").value.trim() });
  const response = await fetch("/api/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  if (response.ok) location.assign("/");
  else if (response.status === 429) byId("error").textContent = "Zu viele Fehlversuche. Bitte eine Minute warten.";
  else byId("error").textContent = "Dieser Schlüssel ist nicht bekannt.";
  byId("token").select();
});
