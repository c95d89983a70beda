/* The house's words in German. A state is a word, a sign and a tone, so that no colour stands alone. */

export const STATES = {
  held: ["wartet auf Freigabe", "pause", "ask"],
  standby: ["in Reserve", "pause", "gone"],
  queued: ["wartet", "clock", "busy"],
  sending: ["wird gesendet", "send", "busy"],
  in_doubt: ["ungewiss", "doubt", "ask"],
  accepted: ["angenommen", "check", "good"],
  visible: ["sichtbar", "seen", "good"],
  by_hand: ["von Hand posten", "hand", "ask"],
  failed: ["gescheitert", "cross", "bad"],
  expired: ["Frist verstrichen", "cross", "bad"],
  cancelled: ["abgebrochen", "none", "gone"],
  superseded: ["überholt", "over", "gone"],
  retracted: ["zurückgezogen", "over", "gone"],
};

export const REASONS = {
  timeout: "keine Antwort in der Zeit", network: "Netz gestört", dns: "Adresse nicht gefunden", tls: "Zertifikat abgelehnt",
  rate_limited: "Dienst drosselt", server_error: "Dienst gestört", auth: "Zugang abgelehnt", rejected: "abgelehnt",
  too_long: "Text zu lang", duplicate: "schon vorhanden", in_doubt: "Antwort verloren", expired: "Frist verstrichen",
  cancelled: "abgebrochen", internal: "interner Fehler",
};

export const READINESS = {
  ready: ["bereit", "check", "good"], degraded: ["eingeschränkt", "doubt", "ask"], down: ["gestört", "cross", "bad"],
  unknown: ["unbekannt", "none", "gone"],
};

export const REMEDIES = {
  auth: "Zugang oder Rechte erneuern", expired: "Zugang erneuern, bevor er endet", rate_limited: "warten, weniger posten",
  tls: "Zertifikat und Uhr dieses Rechners prüfen", dns: "Adresse und Namensdienst prüfen", network: "Adresse und Netz prüfen",
  timeout: "Netz prüfen, sonst auf den Dienst warten", server_error: "auf den Dienst warten, eigenen Server prüfen",
  internal: "Programmfehler: Protokoll ansehen",
};

export const PURPOSES = {
  alert: "Warnung", update: "Aktualisierung", all_clear: "Entwarnung", false_alarm: "Fehlalarm", page: "Ruf", farewell: "Abschied",
  retraction: "Berichtigung früherer Posts",
};

export const KINDS = {
  whatsapp_channel: "WhatsApp-Kanal", facebook_page: "Facebook-Seite", linkedin_page: "LinkedIn-Seite", bluesky: "Bluesky", instagram: "Instagram", threads: "Threads", x: "X", telegram: "Telegram-Kanal", mastodon: "Mastodon", webhook: "Website",
  matrix: "Matrix-Raum", slack: "Slack-Kanal", signal: "Signal-Gruppe", teams: "Teams-Kanal", gotify: "Push-Nachricht",
  ntfy: "Push-Nachricht", by_hand: "Von Hand",
  mqtt: "Sirene, Anzeige", whatsapp_cloud: "WhatsApp-Nachricht", fcm: "App", web_push: "Browser", apprise: "Über Apprise",
};

export const CAUSES = {
  unreadable: "Eine Meldung ist nicht lesbar", refused: "Eine Meldung wurde abgewiesen", held: "Eine Freigabe steht aus",
  widest: "Erreicht das ganze Gebiet: zwei Personen geben frei",
  retained: "Eine aufbewahrte Meldung wurde abgewiesen", stale: "Eine Meldung ist zu alt", no_area: "Wo ist das?",
  nothing_matched: "Kein Einsatzplan passt", no_channel: "Kein Kanal ist zuständig", degraded: "Ein Text ist nur knapp",
  unknown_incident: "Meldung zu unbekanntem Vorfall", conflict: "Zwei Meldungen widersprechen sich",
  stuck: "Seit 30 Sekunden nicht veröffentlicht", failed: "Nicht veröffentlicht", expired: "Zeit abgelaufen, nicht veröffentlicht", by_hand: "Von Hand zu posten",
  same_as: "Gleiche Lage wie eine andere?", shrunk: "Gebiet verkleinert", stopped: "Angehalten",
  break_glass: "Notfreigabe durch eine Person", lapsed: "Erste Freigabe verfallen", silent: "Eine Quelle schweigt", broker: "Broker gestört",
  withheld: "Ungeprüfte Angaben zurückgehalten", signature: "Signatur ungültig", loop: "Programm stockt", gap: "Meldungen fehlen in der Folge",
  configuration: "Konfiguration fehlerhaft", channel_down: "Ein Kanal ist nicht bereit", expiring: "Ein Zugang läuft bald ab",
  in_doubt: "Unklar, ob veröffentlicht", withdrawn: "Quelle meldet Ende, bevor etwas hinausging",
};

export const SEVERITIES = { extreme: "extrem", severe: "schwer", moderate: "mittel", minor: "gering", unknown: "unbekannt" };

const READY = {
  journal: ["Journal", "bereit", "gestört"], broker: ["Broker", "verbunden", "getrennt"],
  configuration: ["Konfiguration", "aktuell", "letzte gute"], recovered: ["Wiederanlauf", "fertig", "läuft"], loop: ["Ablauf", "flüssig", "stockt"],
  stream: ["Anzeige", "live", "getrennt"],
};

export const ready = (name, good) => {
  const [title, yes, no] = READY[name] || [name, "bereit", "gestört"];
  return `${title} ${good ? yes : no}`;
};

export const channels = (count) => (count === 1 ? "einem Kanal" : `${count} Kanälen`);

const time = new Intl.DateTimeFormat("de-DE", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("de-DE", { weekday: "short", day: "2-digit", month: "2-digit" });

export const at = (iso) => time.format(new Date(iso));
export const now = () => `${day.format(new Date())}  ${time.format(new Date())}`;

export function since(iso) {
  const seconds = Math.max(0, Math.floor((Date.now() - new Date(iso)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} Tage`;
}
