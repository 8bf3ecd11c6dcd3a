// The dashboard: reads the API of the service that served it, and nothing else.
"use strict";

const $ = (id) => document.getElementById(id);
const KEY = "shortfall-key";
const SHOWN_ROWS = 500;
const SHOWN_EVENTS = 100;
const state = {
  accounts: new Map(), sort: "health", descending: false, currency: "", chosen: null, margin: null,
  by: "by_asset", since: null, socket: null, retry: 1000, reloading: null,
};

// ---- numbers and nodes

const money = (x) => (x == null ? "–" : x.toLocaleString("en", { maximumFractionDigits: Math.abs(x) < 100 ? 2 : 0 }));
const signed = (x) => (x > 0 ? "+" : "") + money(x);
const percent = (x) => (x > 0 ? "+" : "") + (100 * x).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 }) + " %";
const health = (x) => (x == null ? "–" : x.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }));
const words = (name) => name.replaceAll("_", " ");

function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function drawn(name, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

function pill(name) {
  const sign = { healthy: "✓", margin_call: "!", liquidate: "✕" }[name] || "";
  return node("span", { class: "state " + name }, sign + " " + words(name));
}

// ---- the API

async function ask(path, body) {
  const headers = {};
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = "Bearer " + key;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(path, {
    method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 401) {
    await login();
    return ask(path, body);
  }
  const answer = await response.json();
  if (!response.ok) throw answer;
  return answer;
}

function login() {
  sessionStorage.removeItem(KEY);
  const dialog = $("login");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => {
    sessionStorage.setItem(KEY, $("key").value.trim());
    $("key").value = "";
    resolve();
  }, { once: true }));
}

function explain(problem) {
  if (!problem || !problem.title) return "The service cannot be reached: " + problem;
  const faults = (problem.faults || []).map((f) => `${f.where}: found ${f.found}; expected ${f.wanted}`);
  return [`${problem.title}: ${problem.detail}`, ...faults, `Request ${problem.request_id}`].join("\n");
}

function trouble(problem) {
  $("trouble").hidden = !problem;
  $("trouble").textContent = problem ? explain(problem) : "";
}

// ---- accounts

async function loadAccounts() {
  const list = await ask("/v1/accounts");
  state.currency = list.currency;
  state.accounts = new Map(list.accounts.map((line) => [line.account, line]));
  showMarket(list.market);
  showAccounts();
}

async function showStatus() {
  const status = await ask("/v1/status");
  showMarket(status.market, `${status.device}, ${status.paths.toLocaleString("en")} paths`);
}

let device = "";
function showMarket(market, what) {
  device = what || device;
  const age = market.age_seconds < 120 ? `${Math.round(market.age_seconds)} s` : duration(market.age_seconds);
  $("market").textContent =
    `Market ${market.version} of ${market.as_of.replace("T", " ").replace(/\.\d+Z/, "Z")}, ${age} old${market.is_stale ? ", STALE" : ""}` +
    (device ? ` · ${device}` : "");
  $("market").className = market.is_stale ? "stale" : "";
}

function duration(seconds) {
  const minutes = seconds / 60;
  return minutes < 120 ? `${Math.round(minutes)} min` : minutes < 2880 ? `${Math.round(minutes / 60)} h` : `${Math.round(minutes / 1440)} days`;
}

const ORDER = { liquidate: 0, margin_call: 1, healthy: 2 };
function rank(line) {
  if (state.sort === "state") return ORDER[line.state];
  // An account without a margin needs money most if its equity is below zero, else least.
  if (state.sort === "health" && line.health == null) return line.equity >= 0 ? Infinity : -Infinity;
  return line[state.sort];
}

function showAccounts() {
  const wanted = $("filter").value.trim().toLowerCase();
  const all = [...state.accounts.values()];
  const lines = all.filter((line) => line.account.toLowerCase().includes(wanted));
  const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  lines.sort((a, b) => compare(rank(a), rank(b)) * (state.descending ? -1 : 1) || compare(a.account, b.account));
  $("accounts").tBodies[0].replaceChildren(...lines.slice(0, SHOWN_ROWS).map(accountRow));
  $("more").hidden = lines.length <= SHOWN_ROWS;
  $("more").textContent = `${lines.length - SHOWN_ROWS} more: filter to see them.`;
  for (const button of document.querySelectorAll("[data-sort]")) {
    const direction = button.dataset.sort !== state.sort ? "none" : state.descending ? "descending" : "ascending";
    button.parentElement.setAttribute("aria-sort", direction);
  }
  const count = (name) => all.filter((line) => line.state === name).length;
  const sum = (field) => all.reduce((total, line) => total + line[field], 0);
  $("totals").replaceChildren(
    ...["liquidate", "margin_call", "healthy"].map((name) => node("li", {}, pill(name), ` ${count(name)}`)),
    node("li", { class: "note" }, `equity ${money(sum("equity"))}, initial margin ${money(sum("initial_margin"))} ${state.currency}`),
  );
}

function accountRow(line) {
  const number = (text, more = "") => node("td", { class: "number " + more }, text);
  const row = node("tr", { tabindex: "0", "aria-selected": String(line.account === state.chosen) },
    node("td", {}, line.account), node("td", {}, pill(line.state)), number(health(line.health)),
    number(money(line.equity)), number(money(line.maintenance_margin), "wide"), number(money(line.initial_margin), "wide"));
  const choose = () => { location.hash = new URLSearchParams({ account: line.account }); };
  row.addEventListener("click", choose);
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(); });
  return row;
}

// ---- one account

async function showAccount(name) {
  state.chosen = name;
  showAccounts();
  const path = "/v1/accounts/" + encodeURIComponent(name);
  try {
    const [margin, distribution] = await Promise.all([
      ask(path + "/margin?attribution=true&worst_paths=true"), ask(path + "/distribution"),
    ]);
    if (state.chosen !== name) return;
    state.margin = margin;
    $("account-title").textContent = name;
    $("description").textContent = margin.description;
    $("detail").hidden = false;
    showFigures(margin);
    $("distribution").replaceChildren(histogram(distribution));
    showAttribution();
    showPaths(margin.worst_paths || []);
    trouble(null);
  } catch (problem) {
    trouble(problem);
  }
}

function showFigures({ figures, currency, paths, revision, market, worst_driver: worst }) {
  const tail = (x, error) => [money(x), node("small", {}, ` ± ${money(error)}`)];
  const level = (t) => `${(100 * t.confidence).toFixed(2).replace(/\.?0+$/, "")}% ${t.horizon_days.toLocaleString("en")}d`;
  const { maintenance: m, initial: i } = figures;
  const rows = [
    ["State", pill(figures.state)], ["Health", health(figures.health)], ["Equity", money(figures.equity)],
    ["Maintenance margin", money(figures.maintenance_margin)], ["Initial margin", money(figures.initial_margin)],
    ...parts(figures.initial_components).map((name) => [`Initial: ${words(name)}`, money(figures.initial_components[name])]),
    ["Market value", money(figures.market_value)], ["Gross notional", money(figures.gross_notional)],
    ["Worst driver", ...(worst ? [`${worst.asset} ${percent(worst.mean_return)}`, node("small", {}, ` ${Math.round(100 * worst.share_of_loss)} % of the loss`)] : ["–"])],
    [`ES ${level(m)}`, ...tail(m.expected_shortfall, m.standard_error)],
    [`VaR ${level(m)}`, ...tail(m.value_at_risk, m.value_at_risk_standard_error)],
    [`ES ${level(i)}`, ...tail(i.expected_shortfall, i.standard_error)],
    [`VaR ${level(i)}`, ...tail(i.value_at_risk, i.value_at_risk_standard_error)],
    ["Made from", node("small", {}, `${paths.toLocaleString("en")} paths, market ${market.version}, revision ${revision}, ${currency}`)],
  ];
  $("figures").replaceChildren(...rows.map(([name, ...value]) => node("div", {}, node("dt", {}, name), node("dd", {}, ...value))));
}

/// Components of a margin, where they are more than the Expected Shortfall.
function parts(...components) {
  const names = Object.keys(components[0]).filter((name) => components.some((of) => of[name]));
  return names.some((name) => name !== "expected_shortfall") ? names : [];
}

/// Counts on a square-root scale: a tail of one path in a hundred stays visible.
function histogram({ low, high, counts, tail }) {
  const [width, height, left, right, top, foot] = [640, 240, 8, 8, 34, 22];
  const x = (loss) => left + ((loss - low) / (high - low || 1)) * (width - left - right);
  const most = Math.sqrt(Math.max(1, ...counts));
  const title = `Losses: VaR ${money(tail.value_at_risk)}, ES ${money(tail.expected_shortfall)}`;
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const bin = (high - low) / counts.length;
  counts.forEach((count, index) => {
    const tall = (Math.sqrt(count) / most) * (height - top - foot);
    const inTail = low + (index + 0.5) * bin >= tail.value_at_risk;
    picture.append(drawn("rect", {
      class: inTail ? "tail" : "bar", x: x(low + index * bin), width: Math.max(0.5, x(low + bin) - x(low) - 0.5),
      y: height - foot - tall, height: tall,
    }));
  });
  picture.append(drawn("line", { class: "axis", x1: left, x2: width - right, y1: height - foot, y2: height - foot }));
  const mark = (loss, name, kind, y) => {
    if (!(loss >= low && loss <= high)) return;
    const anchor = x(loss) > width / 2 ? "end" : "start";
    picture.append(
      drawn("line", { class: "mark " + kind, x1: x(loss), x2: x(loss), y1: y + 3, y2: height - foot }),
      drawn("text", { class: "strong", x: x(loss) + (anchor === "end" ? -5 : 5), y: y + 9, "text-anchor": anchor }, `${name} ${money(loss)}`),
    );
  };
  mark(tail.value_at_risk, "VaR", "var", 2);
  mark(tail.expected_shortfall, "ES", "es", 17);
  if (x(0) > 110 && x(0) < width - 110) picture.append(drawn("text", { x: x(0), y: height - 7, "text-anchor": "middle" }, "0"));
  picture.append(
    drawn("text", { x: left, y: height - 7 }, low < 0 ? `profit ${money(-low)}` : money(low)),
    drawn("text", { x: width - right, y: height - 7, "text-anchor": "end" }, `loss ${money(high)}`),
  );
  return picture;
}

function showAttribution() {
  for (const button of document.querySelectorAll("[data-by]")) button.setAttribute("aria-pressed", String(button.dataset.by === state.by));
  const parts = state.margin?.attribution?.maintenance?.[state.by] || [];
  const shown = parts.filter((part) => part.expected_shortfall !== 0).slice(0, 15);
  $("attribution").replaceChildren(shown.length ? bars(shown) : node("p", { class: "note" }, "Nothing to take apart."));
}

function bars(parts) {
  const [width, row, names, figures] = [640, 24, 190, 120];
  const room = width - names - figures;
  const reach = (part) => [part.expected_shortfall, part.expected_shortfall - part.standard_error, part.expected_shortfall + part.standard_error];
  const low = Math.min(0, ...parts.flatMap(reach));
  const high = Math.max(0, ...parts.flatMap(reach));
  const x = (value) => names + ((value - low) / (high - low || 1)) * room;
  const picture = drawn("svg", { viewBox: `0 0 ${width} ${row * parts.length}`, role: "img", "aria-label": "Components of the Expected Shortfall" });
  parts.forEach((part, index) => {
    const [y, value] = [index * row, part.expected_shortfall];
    const middle = y + row / 2;
    const name = words(part.name);
    picture.append(
      drawn("text", { x: names - 8, y: middle + 4, "text-anchor": "end" }, name.length > 26 ? name.slice(0, 25) + "…" : name),
      drawn("rect", { class: value < 0 ? "offset" : "tail", x: Math.min(x(0), x(value)), width: Math.max(1, Math.abs(x(value) - x(0))), y: y + 4, height: row - 8 }),
      drawn("line", { class: "error", x1: x(value - part.standard_error), x2: x(value + part.standard_error), y1: middle, y2: middle }),
      drawn("text", { class: "strong", x: width - 4, y: middle + 4, "text-anchor": "end" }, money(value)),
    );
  });
  picture.append(drawn("line", { class: "axis", x1: x(0), x2: x(0), y1: 0, y2: row * parts.length }));
  return picture;
}

function showPaths(paths) {
  const moved = (asset) => `${asset.asset} ${percent(asset.return)}` + (asset.volatility_shift ? `, vol ${percent(Math.expm1(asset.volatility_shift))}` : "");
  const rows = paths.map((path) => node("tr", {},
    node("td", { class: "number" }, path.path.toLocaleString("en")), node("td", { class: "number" }, money(path.loss)),
    node("td", {}, path.assets.slice(0, 4).map(moved).join("; ")),
    node("td", { class: "wide" }, path.positions.slice(0, 3).map((p) => `${p.instrument} ${money(p.loss)}`).join("; "))));
  $("paths").tBodies[0].replaceChildren(...rows);
}

// ---- what if

function addOrder(instrument = "", quantity = "") {
  const row = node("div", { class: "order" },
    node("input", { name: "instrument", placeholder: "BTC-27MAR26-80000-C", "aria-label": "Instrument", required: "", spellcheck: "false" }),
    node("input", { name: "quantity", placeholder: "10 or -10", "aria-label": "Quantity", type: "number", step: "any", required: "" }),
    node("button", { type: "button", "aria-label": "Remove this order" }, "×"));
  row.children[0].value = instrument;
  row.children[1].value = quantity;
  row.children[2].addEventListener("click", () => row.remove());
  $("orders").append(row);
}

async function askWhatIf() {
  const orders = [...document.querySelectorAll(".order")].map((row) => ({
    instrument: row.children[0].value.trim(), quantity: Number(row.children[1].value),
  }));
  if (!state.chosen || !orders.length) return;
  try {
    const amount = Number($("cash").value);
    const balances = amount ? [{ asset: "USD", amount }] : [];
    showAnswer(await ask("/v1/what-ifs", { account: state.chosen, orders, balances }));
  } catch (problem) {
    $("answer").replaceChildren(node("p", { class: "fault" }, explain(problem)));
  }
}

function showAnswer({ before, after, difference, currency, market }) {
  const row = (name, field, moreIsWorse) => {
    const change = difference[field];
    const kind = !change || moreIsWorse === null ? "" : (change > 0) === moreIsWorse ? "worse" : "better";
    const show = field === "health" ? health : money;
    const text = change == null ? "–" : field === "health" ? (change > 0 ? "+" : "") + health(change) : signed(change);
    return node("tr", {}, node("th", { scope: "row" }, name),
      node("td", { class: "number" }, show(before[field])), node("td", { class: "number" }, show(after[field])),
      node("td", { class: "number " + kind }, text));
  };
  const heads = ["", "Before", "After", "Difference"].map((text) => node("th", { scope: "col", class: text ? "number" : "" }, text));
  $("answer").replaceChildren(
    node("table", { id: "comparison" }, node("thead", {}, node("tr", {}, ...heads)), node("tbody", {},
      row("Initial margin", "initial_margin", true), ...components(before, after), row("Maintenance margin", "maintenance_margin", true),
      row("Equity", "equity", false), row("Health", "health", false), row("Gross notional", "gross_notional", null),
      node("tr", {}, node("th", { scope: "row" }, "State"), node("td", { class: "number" }, pill(before.state)), node("td", { class: "number" }, pill(after.state)), node("td")))),
    node("p", { class: "note" }, `${currency}, market ${market.version}; the account is unchanged.`));
}

/// Rows of what the initial margin is made of.
function components(before, after) {
  return parts(before.initial_components, after.initial_components).map((name) => {
    const [was, is] = [before.initial_components[name], after.initial_components[name]];
    return node("tr", { class: "part" }, node("th", { scope: "row" }, words(name)),
      ...[money(was), money(is), signed(is - was)].map((text) => node("td", { class: "number" }, text)));
  });
}

// ---- events

function connect() {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/v1/events");
  state.socket = socket;
  socket.addEventListener("open", () => {
    const key = sessionStorage.getItem(KEY);
    socket.send(JSON.stringify({ ...(key ? { key } : {}), ...(state.since == null ? {} : { since: state.since }) }));
    state.retry = 1000;
    live(true);
  });
  socket.addEventListener("message", (message) => receive(JSON.parse(message.data)));
  socket.addEventListener("close", (event) => {
    live(false, event.reason);
    setTimeout(connect, state.retry);
    state.retry = Math.min(30000, 2 * state.retry);
  });
}

function live(on, reason) {
  $("live").className = on ? "on" : "off";
  $("live").textContent = on ? "live" : reason ? `not live: ${reason}` : "not live";
}

function receive({ events, next, is_gap }) {
  state.since = next;
  let marketChanged = is_gap;
  for (const event of events) {
    const line = state.accounts.get(event.account);
    if (line) Object.assign(line, { equity: event.equity, maintenance_margin: event.maintenance_margin, initial_margin: event.initial_margin, health: event.health, state: event.state, revision: event.revision });
    marketChanged ||= !line;
    if (event.kind !== "margin") note(event);
  }
  if (events.length) showAccounts();
  const isChosen = events.some((event) => event.account === state.chosen);
  if (marketChanged || events.length) reloadSoon(isChosen, marketChanged);
}

/// Many events come at once after a change of the market: one reload answers them.
let reload = { chosen: false, list: false };
function reloadSoon(chosen, list) {
  reload = { chosen: reload.chosen || chosen, list: reload.list || list };
  state.reloading ??= setTimeout(async () => {
    state.reloading = null;
    const { chosen, list } = reload;
    reload = { chosen: false, list: false };
    try {
      if (list) await loadAccounts();
      await showStatus();
      if (chosen && state.chosen) await showAccount(state.chosen);
    } catch (problem) {
      trouble(problem);
    }
  }, 500);
}

function note(event) {
  const what = event.kind === "warning" ? `warning: health below ${health(event.level)}` : words(event.kind);
  const list = $("events");
  if (list.firstElementChild?.classList.contains("note")) list.replaceChildren();
  list.prepend(node("li", {}, node("small", {}, event.at.slice(11, 19) + " "), node("strong", {}, event.account), ` ${what}, health ${health(event.health)} `));
  while (list.childElementCount > SHOWN_EVENTS) list.lastElementChild.remove();
}

// ---- start

/// `#account=NAME&order=INSTRUMENT:QUANTITY&cash=-1250` opens an account, and asks what the orders would
/// change.
async function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const name = wanted.get("account") || state.accounts.keys().next().value;
  if (!name) return;
  $("answer").replaceChildren();
  const orders = wanted.getAll("order").map((order) => order.split(/:(?=[^:]*$)/));
  if (orders.length) {
    $("orders").replaceChildren();
    orders.forEach(([instrument, quantity]) => addOrder(instrument, quantity));
    $("cash").value = wanted.get("cash") || "";
  }
  await showAccount(name);
  if (orders.length) await askWhatIf();
}

async function start() {
  addOrder();
  $("filter").addEventListener("input", showAccounts);
  $("add").addEventListener("click", () => addOrder());
  $("what-if").addEventListener("submit", (event) => { event.preventDefault(); askWhatIf(); });
  for (const button of document.querySelectorAll("[data-sort]")) button.addEventListener("click", () => {
    state.descending = button.dataset.sort === state.sort && !state.descending;
    state.sort = button.dataset.sort;
    showAccounts();
  });
  for (const button of document.querySelectorAll("[data-by]")) button.addEventListener("click", () => {
    state.by = button.dataset.by;
    showAttribution();
  });
  window.addEventListener("hashchange", follow);
  try {
    await loadAccounts();
    await showStatus();
    connect();
    await follow();
    setInterval(() => showStatus().catch(trouble), 10000);
  } catch (problem) {
    trouble(problem);
  }
  document.body.dataset.ready = "true";
}

start();
