"use strict";

const CLOSE_WORDS = {
  1000: "normal end",
  1001: "going away",
  1002: "protocol error",
  1003: "kind of data not accepted",
  1005: "no code given",
  1006: "cut without a close frame",
  1007: "invalid data",
  1008: "policy violation",
  1009: "message too big",
  1010: "extension missing",
  1011: "internal error",
  1012: "service restart",
  1013: "try again later",
  1014: "bad gateway",
  1015: "TLS failure",
};
const FIRST_DELAY = 500;
const LONGEST_DELAY = 15000;
const SETTLED = 5000;
const KEPT_MESSAGES = 200;

const $ = (id) => document.getElementById(id);
const log = $("log");

let socket = null;
let backend = null;
let openedAt = 0;
let received = 0;
let sent = 0;
let failures = 0;
let retryTimer = 0;
let retryAt = 0;
let shown = new Set();
let lastShown = null;

/* The connection */

function connect() {
  clearTimeout(retryTimer);
  retryAt = 0;
  setState("connecting", failures ? "Reconnecting" : "Connecting");
  const url = new URL("chat", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const own = new WebSocket(url);
  socket = own;
  own.onopen = () => {
    openedAt = Date.now();
    setState("open", "Connected");
    $("notice").hidden = true;
    tick();
    setTimeout(ping, 500);
  };
  own.onmessage = (event) => {
    received += 1;
    hear(JSON.parse(event.data));
    showTraffic();
  };
  own.onclose = (event) => {
    if (socket === own) closed(event);
  };
}

function closed(event) {
  const was = openedAt ? Date.now() - openedAt : 0;
  socket = null;
  const words = CLOSE_WORDS[event.code] || "a code of the application";
  const reason = event.reason && event.reason !== words ? `, “${event.reason}”` : "";
  $("close-code").textContent = `${event.code} (${words})`;
  if (openedAt) note(`The tunnel to ${backend || "the backend"} ended: ${event.code}, ${words}${reason}.`);
  openedAt = 0;
  backend = null;
  showBackend();
  if (event.code === 1000 && event.wasClean) {
    failures = 0;
    setState("closed", "Closed");
    notice("Closed.", "This tab stays away until you ask.");
    return;
  }
  failures = was > SETTLED ? 1 : failures + 1;
  const longest = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** (failures - 1));
  const delay = longest / 2 + Math.random() * longest / 2;
  retryAt = Date.now() + delay;
  retryTimer = setTimeout(connect, delay);
  setState("waiting", "Waiting");
  notice(was ? `Closed with ${event.code}: ${words}.` : "No connection.", "");
  tick();
}

function hear(message) {
  switch (message.type) {
    case "welcome":
      backend = message.backend;
      showBackend();
      setState("open", `Connected to ${backend}`);
      message.history.forEach(show);
      note(`Connected to backend ${backend}.`);
      break;
    case "said":
      show(message);
      break;
    case "people":
      showPeople(message.people);
      break;
    case "pong":
      $("trip").textContent = `${(performance.now() - message.at).toFixed(1)} ms`;
      break;
  }
}

function tell(message) {
  if (!socket || socket.readyState !== WebSocket.OPEN) return false;
  socket.send(JSON.stringify(message));
  sent += 1;
  showTraffic();
  return true;
}

function ping() {
  tell({ type: "ping", at: performance.now() });
}

/* What the page shows. Text from people only ever goes through textContent. */

function show(message) {
  const key = `${message.at} ${message.backend} ${message.name} ${message.text}`;
  if (shown.has(key)) return;
  shown.add(key);
  const mine = message.name === $("name").value;
  const item = element("li", mine ? "message mine" : "message");
  item.dataset.backend = message.backend;
  const recent = lastShown && message.at - lastShown.at < 60000;
  if (recent && lastShown.name === message.name && lastShown.backend === message.backend) item.classList.add("follows");
  const who = element("p", "who");
  const at = new Date(message.at);
  const time = element("time", "", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = at.toISOString();
  time.title = at.toLocaleString();
  who.append(element("b", "", message.name), chip(message.backend), time);
  item.append(who, element("p", "words", message.text));
  append(item);
  lastShown = message;
}

function note(text) {
  append(element("li", "event", text));
  lastShown = null;
}

function append(item) {
  const atEnd = isAtEnd();
  if (item.classList.contains("message")) $("empty").hidden = true;
  log.append(item);
  while (log.children.length > KEPT_MESSAGES) log.firstChild.remove();
  if (shown.size > 4 * KEPT_MESSAGES) shown = new Set([...shown].slice(-2 * KEPT_MESSAGES));
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function chip(name) {
  const made = element("span", "chip", name);
  made.dataset.backend = name;
  made.title = `Said through backend ${name}`;
  return made;
}

function setState(state, text) {
  $("state").dataset.state = state;
  $("state-text").textContent = text;
  $("send").disabled = state !== "open";
  $("restart").disabled = state !== "open";
  $("leave").disabled = state !== "open";
  document.querySelector(".route").classList.toggle("open", state === "open");
}

function notice(title, text) {
  const atEnd = isAtEnd();
  $("notice-title").textContent = title;
  $("notice-text").textContent = text;
  $("notice").hidden = false;
  if (atEnd) log.scrollTop = log.scrollHeight;
}

function showBackend() {
  $("backend").textContent = backend || "none";
  $("route-backend").textContent = backend || "?";
  $("route-backend").dataset.backend = backend || "";
  if (!backend) for (const id of ["age", "trip", "people"]) $(id).textContent = "–";
}

function showPeople(people) {
  const names = Object.keys(people).sort();
  $("people").textContent = names.map((name) => `${people[name]} ${name}`).join(", ");
}

function showTraffic() {
  $("traffic").textContent = `${received} in, ${sent} out`;
}

function tick() {
  if (openedAt) {
    const seconds = Math.floor((Date.now() - openedAt) / 1000);
    const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    $("age").textContent = parts.map((part) => String(part).padStart(2, "0")).join(":");
  }
  if (retryAt) {
    const left = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
    $("notice-text").textContent = left > 0 ? `Trying again in ${left} s.` : "Trying again.";
  }
}

/* What people do */

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text && tell({ type: "say", name: $("name").value.trim(), text })) $("text").value = "";
  $("text").focus();
});

$("name").addEventListener("change", () => {
  $("name").value = $("name").value.trim() || anyName();
  sessionStorage.setItem("name", $("name").value);
});

$("retry").addEventListener("click", connect);
$("restart").addEventListener("click", () => tell({ type: "close", code: 1012 }));
$("leave").addEventListener("click", () => socket && socket.close(1000, "closed by the page"));

$("ask").addEventListener("click", async () => {
  const started = performance.now();
  try {
    const response = await fetch("api/status", { cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    const took = (performance.now() - started).toFixed(1);
    $("ask-answer").textContent = `Answered by ${status.backend} in ${took} ms; it has ${status.clients} of the tunnels.`;
  } catch (error) {
    $("ask-answer").textContent = `No answer: ${error.message}.`;
  }
});

addEventListener("online", () => {
  if (!socket && retryAt) connect();
});

function anyName() {
  const first = ["Amber", "Quiet", "Swift", "Brave", "Misty", "Clear", "Rapid", "Lucky", "Mossy", "Silver"];
  const second = ["Otter", "Heron", "Trout", "Beaver", "Dipper", "Salmon", "Willow", "Pebble", "Osprey", "Newt"];
  const pick = (words) => words[Math.floor(Math.random() * words.length)];
  return `${pick(first)} ${pick(second)}`;
}

/* A tab opened from this one starts with a copy of its session storage: it gets a name of its own. */
const copied = Boolean(window.opener);
$("name").value = (!copied && sessionStorage.getItem("name")) || anyName();
sessionStorage.setItem("name", $("name").value);
const narrow = matchMedia("(max-width: 52rem)");
const fold = () => {
  $("tunnel").open = $("tries").open = !narrow.matches;
};
narrow.addEventListener("change", fold);
fold();
setInterval(tick, 1000);
setInterval(ping, 10000);
connect();
