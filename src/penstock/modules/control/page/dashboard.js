"use strict";
// One page over one stream of events: a worker sends an overview each second, tunnels are asked for a page at a time.
// Nothing a peer wrote becomes markup: texts are set as text.
(() => {
  const $ = (id) => document.getElementById(id);
  const KEPT = 120;
  const history = [];
  let now = null, before = null, paused = false, writes = false;

  // -- small tools
  const make = (tag, attributes = {}, ...children) => {
    const node = tag === "svg" || tag === "path" || tag === "line" || tag === "text"
      ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, value);
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  };
  const put = (node, text) => { text = String(text); if (node.textContent !== text) node.textContent = text; };
  const count = (value) => Math.round(value).toLocaleString("en");
  const short = (value) => {
    for (const unit of ["", "K", "M", "G"]) { if (value < 1000) return (unit === "" ? (value < 10 && value % 1 ? value.toFixed(1) : Math.round(value)) : value.toFixed(value < 100 ? 1 : 0)) + unit; value /= 1000; }
    return value.toFixed(1) + "T";
  };
  const bytes = (value) => short(value) + (value < 1000 ? " B" : "B");
  const span = (seconds) => {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 10) return seconds.toFixed(1) + " s";
    const whole = Math.floor(seconds), two = (number) => String(number).padStart(2, "0");
    if (whole < 60) return whole + " s";
    if (whole < 3600) return Math.floor(whole / 60) + "m" + two(whole % 60) + "s";
    if (whole < 86400) return Math.floor(whole / 3600) + "h" + two(Math.floor(whole % 3600 / 60)) + "m";
    return Math.floor(whole / 86400) + "d" + two(Math.floor(whole % 86400 / 3600)) + "h";
  };
  const seconds = (value) => value === null ? "–" : value < 0.001 ? "< 1 ms" : value < 1 ? (value * 1000).toFixed(value < 0.01 ? 1 : 0) + " ms" : value.toFixed(1) + " s";
  const plural = (number, word) => count(number) + " " + word + (number === 1 ? "" : "s");
  // Keeps the nodes of what stays, so that focus and selection do too.
  const keyed = (parent, items, key, begin, fill) => {
    const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
    items.forEach((item, place) => {
      const name = String(key(item));
      let node = known.get(name);
      if (node) known.delete(name); else { node = begin(item); node.dataset.key = name; }
      fill(node, item);
      if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] || null);
    });
    for (const node of known.values()) node.remove();
  };
  const sum = (object) => Object.values(object).reduce((total, value) => total + value, 0);

  // -- figures
  const rate = (name) => {
    if (!before || now.at <= before.at) return null;
    return Math.max(0, (now.totals[name] - before.totals[name]) / (now.at - before.at));
  };
  const quantile = (times, wanted) => {
    const all = times.counts.reduce((total, value) => total + value, 0);
    if (!all) return null;
    let seen = 0;
    for (let place = 0; place < times.counts.length; place++) {
      seen += times.counts[place];
      if (seen >= wanted * all) return place < times.bounds.length ? times.bounds[place] : Infinity;
    }
    return null;
  };
  const recent = () => {
    const old = history.length > 30 ? history[history.length - 31] : history[0];
    const times = { bounds: now.handshakes.bounds, counts: now.handshakes.counts.map((value, place) => value - old.handshakes.counts[place]) };
    return sum(times.counts) ? [times, "last 30 s"] : [now.handshakes, "since the start"];
  };
  const opened = () => {
    const { continued = 0, moved = 0, failed = 0, event_streams = 0 } = now.redials, all = continued + moved + event_streams;
    const words = [all || failed ? plural(all, "redial") : "", failed ? count(failed) + " failed" : ""].filter(Boolean);
    return words.length ? [count(now.totals.tunnels_opened) + " opened", ...words].join(", ") : plural(now.totals.tunnels_opened, "tunnel") + " opened";
  };
  const failing = (results) => sum(results) - (results["101"] || 0);

  // -- overview
  const spark = (values) => {
    const top = Math.max(1e-9, ...values), last = Math.max(1, values.length - 1);
    const points = values.map((value, place) => (place / last * 100).toFixed(2) + " " + (30 - value / top * 26).toFixed(2));
    return "M" + points.join("L");
  };
  const tiles = [
    ["tunnels", "Tunnels open", () => [count(now.totals.tunnels_open), opened()], (each) => each.totals.tunnels_open],
    ["messages", "Messages", () => [short((rate("messages_in") || 0) + (rate("messages_out") || 0)) + " /s", count(now.totals.messages_in + now.totals.messages_out) + " in all"], (each) => each.rates.messages_in + each.rates.messages_out],
    ["bytes", "Traffic", () => [bytes((rate("bytes_in") || 0) + (rate("bytes_out") || 0)) + "/s", bytes(now.totals.bytes_in + now.totals.bytes_out) + " in all"], (each) => each.rates.bytes_in + each.rates.bytes_out],
    ["handshakes", "Handshakes", () => { const bad = failing(now.results), all = sum(now.results); return [short((rate("handshakes") || 0)) + " /s", bad ? count(bad) + " of " + count(all) + " failed" : all ? "none of " + count(all) + " failed" : "none yet"]; }, (each) => each.rates.handshakes],
    ["latency", "Handshake, 95 %", () => { const [times, about] = recent(); const value = quantile(times, .95); return [value === null ? "–" : value === Infinity ? "> 10 s" : "≤ " + seconds(value), about]; }, null],
    ["requests", "HTTP requests", () => [short(rate("requests") || 0) + " /s", count(now.totals.requests) + " answered"], (each) => each.rates.requests],
  ];
  const drawTiles = () => keyed($("tiles"), tiles, (tile) => tile[0], (tile) => {
    const svg = make("svg", { viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" }, make("path", { class: "area-0" }), make("path", { class: "line-0", "vector-effect": "non-scaling-stroke" }));
    return make("div", { class: "card tile", id: "tile-" + tile[0] }, make("dl", {}, make("dt", {}, tile[1]), make("dd", {}, "–"), make("dd", { class: "about" }, "")), svg);
  }, (node, tile) => {
    const [value, about] = tile[2]();
    const [, first, second] = node.firstChild.children;
    put(first, value); put(second, about);
    if (!tile[3]) return;
    const path = spark(history.map(tile[3]));
    node.lastChild.children[0].setAttribute("d", path + "L100 30L0 30Z");
    node.lastChild.children[1].setAttribute("d", path);
  });
  const drawChart = (id, names, show) => {
    const place = $(id), width = 640, height = 176, left = 8, right = 632, floor = 154;
    if (!place.firstChild) {
      const legend = make("div", { class: "legend" }, ...names.map(([, title]) => make("span", {}, title + " ", make("b", {}, "–"))));
      const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" }, ...[0, 1, 2].map((line) => make("line", { class: "grid", x1: left, x2: right, y1: floor - line * 68, y2: floor - line * 68, "vector-effect": "non-scaling-stroke" })));
      names.forEach((_, place) => svg.append(make("path", { class: "area-" + place }), make("path", { class: "line-" + place, "vector-effect": "non-scaling-stroke" })));
      place.append(legend, svg, make("small", {}, ""));
    }
    const [legend, svg, note] = place.children;
    const top = Math.max(1, ...history.flatMap((each) => names.map(([name]) => each.rates[name])));
    const words = names.map(([name, title], at) => {
      const step = (right - left) / (KEPT - 1), from = right - (history.length - 1) * step;
      const points = history.map((each, number) => (from + number * step).toFixed(1) + " " + (floor - each.rates[name] / top * 136).toFixed(1));
      const path = "M" + points.join("L"), paths = svg.querySelectorAll("path");
      paths[2 * at].setAttribute("d", `${path}L${right} ${floor}L${from.toFixed(1)} ${floor}Z`);
      paths[2 * at + 1].setAttribute("d", path);
      const last = show(history[history.length - 1].rates[name]);
      put(legend.children[at].lastChild, last);
      return title + " " + last;
    });
    svg.setAttribute("aria-label", words.join(", "));
    put(note, "two minutes, top " + show(top));
  };
  const drawBars = (place, items) => {
    if (!items.length) { put(place, "nothing yet"); return; }
    if (place.firstChild && place.firstChild.nodeType === 3) place.replaceChildren();
    const top = Math.max(...items.map((item) => item.value), 1);
    keyed(place, items, (item) => item.name, () => make("div", { class: "bar", role: "listitem" }, make("span", { class: "name" }), make("span", { class: "track", "aria-hidden": "true" }, make("i")), make("b")), (node, item) => {
      node.firstChild.replaceChildren(item.name, item.about ? make("small", {}, item.about) : "");
      node.children[1].className = "track " + (item.kind || "");
      node.children[1].firstChild.style.width = (item.value ? Math.max(1.5, item.value / top * 100) : 0) + "%";
      put(node.lastChild, count(item.value));
    });
  };
  const CODES = { 1000: "normal", 1001: "going away", 1002: "protocol error", 1003: "unsupported", 1005: "no status", 1006: "abnormal", 1007: "bad data", 1008: "policy", 1009: "too big", 1010: "extension", 1011: "internal error", 1012: "restart", 1013: "try later", 1014: "bad gateway", "3xxx": "registered", "4xxx": "application", none: "no close frame" };
  const drawOverview = () => {
    drawTiles();
    drawChart("chart-messages", [["messages_in", "from clients"], ["messages_out", "to clients"]], (value) => short(value) + " /s");
    drawChart("chart-bytes", [["bytes_in", "from clients"], ["bytes_out", "to clients"]], (value) => bytes(value) + "/s");
    const [times, about] = recent();
    put($("latency-about"), about);
    const names = times.bounds.map((bound) => "≤ " + seconds(bound)).concat("more");
    const most = times.counts.reduce((found, value, place) => value ? place : found, -1), least = times.counts.findIndex((value) => value);
    drawBars($("latency"), times.counts.map((value, place) => ({ name: names[place], value })).filter((_, place) => place >= least && place <= most && most >= 0));
    drawBars($("codes"), Object.entries(now.closed).sort((one, two) => two[1] - one[1]).map(([code, value]) => ({ name: code, about: CODES[code] || "", value, kind: ["1000", "1001"].includes(code) ? "" : ["1012", "1013", "none", "3xxx", "4xxx", "1005"].includes(code) ? "odd" : "bad" })));
  };

  // -- upstreams
  const requestRate = (group, peer) => {
    const old = before && before.upstreams.find((each) => each.name === group.name);
    const known = old && old.peers.find((each) => each.id === peer.id);
    return known ? Math.max(0, (peer.requests - known.requests) / (now.at - before.at)) : 0;
  };
  const cell = (label, className = "") => make("td", { role: "cell", "data-label": label, class: className || null });
  const checked = (checks) => checks === null ? "–" : `${count(checks.checks - checks.fails)} of ${count(checks.checks)} passed` + (checks.last_passed === false ? ", the last failed" + (checks.why ? ": " + checks.why : "") : "");
  const drawUpstreams = () => {
    const groups = now.upstreams;
    if (!groups.length) { $("groups").replaceChildren(make("p", { class: "card empty" }, "No upstream is configured.")); return; }
    if ($("groups").firstChild && !$("groups").firstChild.dataset.key) $("groups").replaceChildren();
    keyed($("groups"), groups, (group) => group.name, (group) => {
      const heads = ["Server", "State", "Tunnels", "Connections", "Requests", "Failures", "Checks"].map((name) => make("th", { role: "columnheader", scope: "col", class: ["Connections", "Requests", "Failures"].includes(name) ? "n" : null }, name));
      if (writes) heads.push(make("th", { role: "columnheader", scope: "col", class: "n" }, "Actions"));
      return make("article", { class: "card group" }, make("header", {}, make("h3", {}, group.name), make("span"), make("span")), make("div", { class: "scroll" }, make("table", { role: "table", "aria-label": "Servers of " + group.name }, make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...heads)), make("tbody", { role: "rowgroup" }))));
    }, (node, group) => {
      const header = node.firstChild, total = group.peers.reduce((all, peer) => all + peer.tunnels, 0), up = group.peers.filter((peer) => peer.state === "up").length;
      put(header.children[1], `${up} of ${plural(group.peers.length, "server")} up`);
      put(header.children[2], `${plural(total, "tunnel")} · ${plural(group.idle, "idle connection")}` + (group.zone ? ` · zone ${group.zone}` : ""));
      keyed(node.querySelector("tbody"), group.peers, (peer) => peer.id, () => {
        const row = make("tr", { role: "row" }, cell("Server", "lead"), cell("State"), cell("Tunnels"), cell("Connections", "n"), cell("Requests", "n"), cell("Failures", "n"), cell("Checks"));
        row.children[1].append(make("span", { class: "pill" }), make("small"));
        row.children[2].append(make("span", { class: "share" }, make("b"), make("span", { class: "track", "aria-hidden": "true" }, make("i"))));
        if (writes) row.append(cell("", "actions"));
        return row;
      }, (row, peer) => {
        const [name, state, tunnels, active, requests, failures, checks, actions] = row.children;
        const tags = [peer.backup ? "backup" : "", peer.weight !== 1 ? "weight " + peer.weight : "", peer.added ? "added" : peer.set ? "set by hand" : ""].filter(Boolean);
        const shown = peer.name + "|" + tags.join();
        if (name.dataset.shown !== shown) {
          name.dataset.shown = shown;
          name.replaceChildren(make("strong", { class: "mono" }, peer.name), peer.server === peer.name || peer.name.startsWith(peer.server + ":") ? "" : make("small", {}, " " + peer.server), ...tags.map((tag) => make("span", { class: "tag" }, tag)));
        }
        state.firstChild.className = "pill " + peer.state;
        put(state.firstChild, peer.state); put(state.lastChild, peer.since === null ? "" : " " + span(peer.since));
        put(tunnels.firstChild.firstChild, count(peer.tunnels));
        tunnels.querySelector("i").style.width = (total ? peer.tunnels / total * 100 : 0) + "%";
        put(active, count(peer.active) + (peer.max_conns ? " of " + count(peer.max_conns) : ""));
        put(requests, count(peer.requests) + (requestRate(group, peer) >= .05 ? ` (${short(requestRate(group, peer))}/s)` : ""));
        put(failures, count(peer.failures)); put(checks, checked(peer.checks));
        if (actions) drawActions(actions, group, peer);
      });
    });
  };
  const button = (title, label, act) => { const node = make("button", { type: "button", class: "small", "aria-label": label }, title); node.addEventListener("click", act); return node; };
  const drawActions = (place, group, peer) => {
    const mode = peer.down ? "down" : peer.drain ? "drain" : "up";
    if (place.dataset.mode === mode) return;
    place.dataset.mode = mode;
    const where = `${peer.name} of ${group.name}`, order = { upstream: group.name, peer: peer.id };
    const undo = button("Put back", `Put ${where} back into use`, () => ask(`Put ${peer.name} back?`, "It gets its share of what is new again, in all workers.", "Put back", [], () => ({ act: "set", ...order, options: { drain: false, down: false } })));
    const drain = button("Drain", `Drain ${where}`, () => ask(`Drain ${peer.name}?`, "It gets nothing new, in all workers. Open tunnels go on, unless they are closed little by little.", "Drain", [["spread", "Close its tunnels", [["", "no, let them end by themselves"], ["0", "now"], ["30", "within 30 seconds"], ["60", "within a minute"], ["300", "within 5 minutes"]]]], (given) => ({ act: "drain", ...order, spread: given.spread === "" ? null : Number(given.spread) })));
    const down = button("Down", `Take ${where} out of use`, () => ask(`Take ${peer.name} out of use?`, "It gets nothing at all, not even sessions that stick to it. What it carries goes on.", "Take out", [], () => ({ act: "set", ...order, options: { down: true } })));
    place.replaceChildren(...(mode === "up" ? [drain, down] : mode === "drain" ? [undo, down] : [undo]));
  };

  // -- tunnels
  const COLUMNS = [["client", "Client"], ["location", "Location"], ["upstream", "Upstream"], ["peer", "Server"], ["transport", "Via"], ["age", "Age", "n", "age"], ["idle", "Idle", "n", "idle"], ["messages", "Messages", "n", "messages"], ["bytes", "Bytes", "n", "bytes"], ["state", "State"]];
  const view = { sort: "age", page: 0, wait: null, asked: 0 };
  const drawHeads = () => {
    $("heads").replaceChildren(...COLUMNS.map(([, title, kind, sort]) => {
      const head = make("th", { role: "columnheader", scope: "col", class: kind || null });
      if (!sort) { head.append(title); return head; }
      const node = make("button", { type: "button" }, title);
      node.addEventListener("click", () => { view.sort = sort; view.page = 0; drawHeads(); $("heads").querySelector("[aria-sort] button").focus(); look(); });
      if (view.sort === sort) head.setAttribute("aria-sort", "descending");
      head.append(node);
      return head;
    }), ...(writes ? [make("th", { role: "columnheader", scope: "col", class: "n" }, "Action")] : []));
  };
  const drawTunnels = (found) => {
    const size = Number($("per-page").value), pages = Math.max(1, Math.ceil(Math.min(found.matched, found.reach) / size));
    if (view.page >= pages) { view.page = pages - 1; look(); return; }
    put($("count"), found.matched ? `${count(view.page * size + 1)}–${count(view.page * size + found.listed.length)} of ${count(found.matched)}` + (found.matched !== found.open ? ` (${count(found.open)} open)` : "") : found.open ? `none of ${count(found.open)} matches` : "no tunnel is open");
    put($("page"), `Page ${view.page + 1} of ${count(pages)}`);
    $("previous").disabled = view.page === 0; $("next").disabled = view.page >= pages - 1;
    keyed($("rows"), found.listed, (entry) => entry.id, (entry) => {
      const row = make("tr", { role: "row" }, ...COLUMNS.map(([name, title, kind]) => cell(title, name === "client" ? "lead" : kind)));
      row.firstChild.append(make("span", { class: "mono" }, entry.client), " ", make("small", { class: "mono" }, entry.id));
      row.children[1].append(entry.location, entry.server ? make("small", {}, " " + entry.server) : "");
      row.children[2].append(entry.upstream || "–"); row.children[3].append(make("span", { class: "mono" }, entry.peer || "–")); row.children[4].append(entry.transport);
      row.children[9].append(make("span", { class: "pill" }), make("small"));
      if (writes) { row.append(cell("", "actions")); row.lastChild.append(button("Close", `Close the tunnel ${entry.id} of ${entry.client}`, () => ask("Close this tunnel?", `${entry.client} to ${entry.peer} at ${entry.location}. Its client may come back at once.`, "Close", [["code", "With the code", [["1001", "1001, going away"], ["1000", "1000, normal"], ["1008", "1008, policy"], ["1011", "1011, internal error"], ["1012", "1012, service restart"], ["1013", "1013, try again later"]]]], (given) => ({ act: "close", id: entry.id, code: Number(given.code) })))); }
      return row;
    }, (row, entry) => {
      put(row.children[5], span(entry.age)); put(row.children[6], span(entry.idle));
      put(row.children[7], entry.messages_in === undefined ? "–" : `${short(entry.messages_in)} in, ${short(entry.messages_out)} out`);
      put(row.children[8], `${bytes(entry.bytes_in)} in, ${bytes(entry.bytes_out)} out`);
      const pill = row.children[9].firstChild; pill.className = "pill " + entry.state; put(pill, entry.state + (entry.close_code ? " " + entry.close_code : "")); put(row.children[9].lastChild, entry.redials ? " " + plural(entry.redials, "redial") : "");
    });
  };
  // Asks again when the answer before is drawn, and leaves the workers twenty times as long as they took.
  const look = async () => {
    clearTimeout(view.wait);
    const mine = ++view.asked, size = Number($("per-page").value);
    const wanted = new URLSearchParams({ view: "tunnels", sort: view.sort, limit: size, offset: view.page * size });
    for (const [name, id] of [["text", "find"], ["upstream", "of-upstream"], ["state", "of-state"]]) if ($(id).value) wanted.set(name, $(id).value);
    let rest = 2000;
    try {
      const answer = await fetch("?" + wanted), found = await answer.json();
      if (mine !== view.asked) return;
      if (!answer.ok) throw new Error(found.error);
      drawTunnels(found);
      rest = Math.max(rest, found.took * 20000);
    } catch (error) { if (mine !== view.asked) return; put($("count"), "not to be had: " + error.message); }
    view.wait = setTimeout(() => { if (paused || document.hidden) view.wait = setTimeout(look, 1000); else look(); }, rest);
  };

  // -- system
  const drawSystem = () => {
    keyed($("workers"), now.workers, (worker) => worker.number, () => {
      const row = make("tr", { role: "row" }, cell("Worker"), cell("Tunnels", "n"), cell("Memory", "n"), cell("Descriptors"));
      row.lastChild.append(make("span", { class: "share" }, make("span", { class: "track", "aria-hidden": "true" }, make("i")), make("b"), make("small")));
      return row;
    }, (row, worker) => {
      put(row.children[0], worker.number); put(row.children[1], count(worker.tunnels)); put(row.children[2], bytes(worker.resident));
      const share = row.lastChild.firstChild, part = worker.descriptors / worker.limit;
      share.firstChild.className = "track " + (part > .85 ? "bad" : ""); share.firstChild.firstChild.style.width = Math.max(.5, Math.min(100, part * 100)) + "%";
      put(share.children[1], count(worker.descriptors)); put(share.children[2], "of " + short(worker.limit));
    });
    const reload = now.reload, when = new Date(reload.time * 1000);
    const facts = [["In force", "number " + reload.generation], [reload.good + reload.bad ? "Last reload" : "Started", span(now.at - reload.time) + " ago"], ...(reload.good + reload.bad ? [["Result", reload.succeeded ? "taken up" : "refused"], ["It took", seconds(reload.took)], ["Reloads", `${count(reload.good)} good, ${count(reload.bad)} refused`]] : []), ["Workers that died", count(reload.respawned)], ["Connections", `${count(now.connections.active)}, ${count(now.connections.waiting)} waiting`]];
    $("reload").title = when.toLocaleString();
    $("reload").replaceChildren(...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, name === "Result" ? make("span", { class: "pill " + (reload.succeeded ? "up" : "down") }, value) : value)]));
    if (!now.certificates.length) put($("certificates"), "none");
    else $("certificates").replaceChildren(...now.certificates.map(([server, name, end]) => {
      const days = Math.floor((end - now.at) / 86400);
      return make("li", {}, make("strong", {}, server || "default server"), make("span", { class: "pill " + (days < 2 ? "down" : days < 14 ? "draining" : "up") }, days < 0 ? "expired" : plural(days, "day")), make("small", { class: "mono" }, name));
    }));
  };

  // -- asking before something is done
  let what = null, asker = null;
  const ask = (title, text, verb, fields, order) => {
    asker = document.activeElement; what = order;
    put($("ask-title"), title); put($("ask-text"), text); put($("ask-yes"), verb); $("ask-trouble").hidden = true; $("ask-yes").disabled = false;
    $("ask-fields").replaceChildren(...fields.map(([name, label, options]) => make("label", {}, label, make("select", { name, id: "ask-" + name }, ...options.map(([value, words]) => make("option", { value }, words))))));
    $("ask").showModal();
    $("ask-no").focus();
  };
  $("ask").addEventListener("close", () => { if (asker && asker.isConnected) asker.focus(); });
  $("ask-yes").addEventListener("click", async () => {
    const given = Object.fromEntries([...$("ask-fields").querySelectorAll("select")].map((node) => [node.name, node.value]));
    $("ask-yes").disabled = true;
    try {
      const answer = await fetch("?", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what(given)) });
      const found = await answer.json();
      if (!answer.ok) throw new Error(found.error);
      $("ask").close(); look();
    } catch (error) { put($("ask-trouble"), error.message); $("ask-trouble").hidden = false; $("ask-yes").disabled = false; }
  });

  // -- the stream
  const NAMES = ["messages_in", "messages_out", "bytes_in", "bytes_out", "handshakes", "requests"];
  const take = (found) => {
    const fresh = !now;
    before = now; now = found; now.totals.handshakes = sum(now.results);
    if (fresh || writes !== now.write) { writes = now.write; drawHeads(); $("rows").replaceChildren(); $("groups").replaceChildren(); }
    now.rates = Object.fromEntries(NAMES.map((name) => [name, rate(name) || 0]));
    history.push({ totals: now.totals, rates: now.rates, handshakes: now.handshakes });
    if (history.length > KEPT) history.shift();
    put($("version"), now.version); document.title = `${count(now.totals.tunnels_open)} tunnels · Penstock`;
    $("note").hidden = !now.note; put($("note"), now.note || "");
    drawOverview(); drawUpstreams(); drawSystem();
    const chosen = $("of-upstream"), names = now.upstreams.map((group) => group.name);
    if (chosen.dataset.names !== names.join()) { const kept = chosen.value; chosen.dataset.names = names.join(); chosen.replaceChildren(make("option", { value: "" }, "all"), ...names.map((name) => make("option", {}, name))); chosen.value = names.includes(kept) ? kept : ""; }
    document.body.dataset.seen = Number(document.body.dataset.seen || 0) + 1;
    if (fresh) look();
  };
  const say = (state, words) => { $("live").className = "live " + state; put($("live").lastElementChild, words); };
  const stream = () => {
    const source = new EventSource("?view=events");
    source.onopen = () => say("on", "live");
    source.onmessage = (event) => { if (!paused) take(JSON.parse(event.data)); };
    source.onerror = () => { say("off", "not connected"); if (source.readyState === EventSource.CLOSED) setTimeout(stream, 2000); };
  };
  $("pause").addEventListener("click", () => { paused = !paused; $("pause").setAttribute("aria-pressed", paused); put($("pause"), paused ? "Go on" : "Pause"); say(paused ? "" : "on", paused ? "paused" : "live"); });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => { try { return localStorage.getItem("penstock-theme"); } catch { return null; } };
  const dress = () => { document.documentElement.dataset.theme = stored() || (dark.matches ? "dark" : "light"); };
  dark.addEventListener("change", dress);
  $("theme").addEventListener("click", () => { try { localStorage.setItem("penstock-theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark"); } catch { /* it holds until the page is left */ } dress(); });
  dress();
  let typed = null;
  $("filters").addEventListener("input", () => { clearTimeout(typed); typed = setTimeout(() => { view.page = 0; look(); }, 200); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("previous").addEventListener("click", () => { view.page--; look(); });
  $("next").addEventListener("click", () => { view.page++; look(); });
  stream();
})();
