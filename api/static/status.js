// Keeps the page fresh from the public API. All it shows stands on the page without it too, in UTC.
const $ = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const EVERY = 300_000, AGAIN = 30_000, PATIENCE = 10_000, TOLD = 5, NAMED = 8;
const WORST_FIRST = ["offline", "timeout", "degraded", "unknown", "online"];
const NB = "\u00a0";
const { now: drawn, layout } = $("page").dataset;
const hero = $("hero"), overall = $("overall"), form = $("refresh"), cards = all(".card");

// The server's clock, carried on from its last word: the visitor's own may be days off.
let server = Date.parse(drawn);
let at = performance.getEntriesByType("navigation")[0]?.responseStart ?? 0;
const now = () => server + performance.now() - at;
function hear({ headers }) {
  const date = Date.parse(headers.get("date"));
  if (date) [server, at] = [date, performance.now()];
}

const format = (options) => {
  const { format } = new Intl.DateTimeFormat("en-GB", { hourCycle: "h23", ...options });
  return (instant) => format(instant);
};
const hm = { hour: "2-digit", minute: "2-digit" }, hms = { ...hm, second: "2-digit" };
const dmy = { day: "numeric", month: "short", year: "numeric" };
const day = format(dmy), full = format({ ...dmy, ...hms, timeZoneName: "short" });
const as = { clock: format(hms), stamp: format({ ...dmy, ...hms }) };
const today = format(hm), once = format({ ...dmy, ...hm });
as.moment = (instant) => (day(instant) === day(now()) ? today : once)(instant);

const text = (element, words) => element.textContent === words || (element.textContent = words);
const make = (tag, className, ...children) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
};
// Replaces content only where it differs, so that nothing is spoken, selected or focused anew without need.
const put = (element, ...children) => {
  const fresh = make(element.localName, "", ...children);
  if (element.innerHTML !== fresh.innerHTML) element.replaceChildren(...fresh.childNodes);
};
// The legend lends every state its word and its shape.
const word = (status) => document.querySelector(`.legend [data-word=${status}]`).textContent;
const dot = (status) => document.querySelector(`.legend .dot.${status}`).cloneNode(true);
const count = (n, noun) => n.toLocaleString("en-US") + NB + noun;

function time(element, iso) {
  const instant = Date.parse(iso);
  element.dateTime = iso;
  element.title = full(instant);
  text(element, as[element.dataset.as](instant));
  return element;
}
function newTime(kind, iso) {
  const element = make("time");
  element.dataset.as = kind;
  return time(element, iso);
}

function length(ms) {
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  const two = (n, unit, rest, small) => n + NB + unit + (rest ? ` ${rest}${NB}${small}` : "");
  return d ? two(d, d > 1 ? "days" : "day", h % 24, "h") : h ? two(h, "h", m % 60, "min") : m ? two(m, "min") : two(s, "s");
}
function ages() {
  for (const element of all(".clock time")) {
    const past = now() - Date.parse(element.dateTime), next = element.closest("#next-check");
    text(element.nextSibling, past <= -1000 ? `in ${length(-past)}` : next ? "due now" : `${length(past)} ago`);
  }
}
const stamp = (id, iso, none) =>
  put($(id), iso ? newTime("clock", iso) : make("span", "unknown", "—"), make("small", "", iso ? "" : none));

const tone = (uptime) => uptime >= 99 ? "online" : uptime >= 95 ? "good" : uptime >= 90 ? "degraded" : "offline";
function figure(dd, uptime) {
  dd.className = uptime === null ? "unknown" : tone(uptime);
  dd.removeAttribute("title");
  if (uptime !== null) return put(dd, `${uptime}%`);
  const span = dd.previousSibling.lastChild.textContent;
  dd.title = dd.dataset.window === "all_time" ? "No check yet" : `No check, or less history than ${span}`;
  put(dd, "—", make("span", "sr", ` ${dd.title}`));
}

function card(article, service) {
  const { status, stale, last_status: last, status_code: code, response_time: ms } = service;
  const part = (selector) => article.querySelector(selector);
  if (article.dataset.status !== status) {
    article.dataset.status = status;
    part(".dot").replaceWith(dot(status));
    part(".state").className = `state ${status}`;
    text(part(".state"), word(status));
  }
  article.className = `card ${status}${stale ? " stale" : ""}`;
  const facts = [
    code === null && (last === "offline" || last === "timeout") && "no answer", !last && "No check yet",
    code !== null && `HTTP${NB}${code}`, count(service.total_checks, service.total_checks === 1 ? "check" : "checks"),
  ].filter(Boolean);
  put(part(".last"), ...facts.flatMap((fact, n) => [n ? " " : "", make("span", "", fact)]));
  const why = part(".why");
  if (stale && last) put(why, "No data since ", newTime("moment", service.last_check), `; it was ${word(last)} then`);
  else put(why, service.reason ?? "");
  why.hidden = !why.textContent;
  for (const dd of all("[data-window]", article)) figure(dd, service.uptime[dd.dataset.window]);
  const response = part(".response dd");
  response.className = ms === null ? "unknown" : "";
  put(response, ...(ms === null ? ["—", make("span", "sr", " none")] : [count(ms, "ms")]));
}

const tally = (of) => WORST_FIRST.map((key) => [key, of.filter((c) => c.dataset.status === key).length])
  .filter(([, n]) => n).map(([key, n]) => [key, n, word(key).toLowerCase()]);
function banner(status) {
  if (hero.dataset.status !== status.overall) {
    const fresh = $(`overall-${status.overall}`).content.cloneNode(true).firstChild;
    hero.dataset.status = status.overall;
    hero.className = fresh.className.replace("overall", "hero");
    overall.className = fresh.className;
    overall.replaceChildren(...fresh.childNodes);
    document.title = `${overall.textContent} – ${$("site").textContent}`;
  }
  put($("counts"), ...tally(cards).map(([key, n, noun]) => make("li", "", dot(key), make("b", "", n), ` ${noun}`)));
  const affected = WORST_FIRST.slice(0, 3).flatMap((key) => cards.filter((c) => c.dataset.status === key));
  const held = $("affected").contains(document.activeElement);
  put($("affected"), ...affected.slice(0, NAMED).flatMap((c, n) => {
    const link = make("a", "", c.querySelector("h3 bdi").cloneNode(true));
    link.setAttribute("href", `#${c.id}`);
    return [n ? ", " : "Affected: ", link];
  }), affected.length > NAMED ? ` and ${affected.length - NAMED} more` : "");
  $("affected").hidden = !affected.length;
  if (held && document.activeElement === document.body) $("again").focus();
  for (const line of all(".tally")) {
    const counts = tally(all(".card", line.parentNode));
    put(line, dot(counts[0][0]), make("span", "", counts.map(([, n, noun]) => n + NB + noun).join(", ")));
  }
  stamp("last-check", status.last_check, "none yet");
  stamp("next-check", status.next_check, "not known");
  time($("as-of"), status.as_of);
}
function source({ source: key, silent_since: since, as_of }) {
  const template = $(key === "silent" && !since ? "source-silent-ever" : `source-${key}`);
  if (template) {
    const words = template.content.cloneNode(true);
    for (const element of all("time", words)) time(element, key === "away" ? as_of : since);
    put($("source").lastElementChild, words);
  }
  $("source").hidden = !template;
}

const known = () => Object.fromEntries([hero, ...cards].map((c) => [c.id, c.dataset.status]));
function announce(before) {
  const changed = cards.filter((c) => before[c.id] && before[c.id] !== c.dataset.status);
  const said = changed.length > TOLD ? [`${changed.length} services changed their state.`]
    : changed.map((c) => `${c.querySelector("h3").textContent} is now ${word(c.dataset.status)}.`);
  if (before.hero !== hero.dataset.status) said.push(`${overall.textContent}.`);
  if (said.length) $("said").textContent = said.join(" ");
}

// Other services need another page; the browser keeps the scroll, we the focus and what was known.
function reload() {
  const { id, href } = document.activeElement;
  history.replaceState({ id, href, before: known() }, "");
  location.reload();
}
function restore() {
  const { id, href, before } = history.state ?? {};
  history.replaceState(null, "");
  ($(id) ?? all("a").find((a) => a.href === href))?.focus({ preventScroll: true });
  if (before) announce(before);
}

function show(status) {
  if (status.layout !== layout) return reload();
  const before = known();
  status.services.forEach((service) => card($(`s-${service.id}`), service));
  banner(status);
  source(status);
  ages();
  announce(before);
}
let timer;
async function refresh() {
  if (form.ariaBusy) return;
  clearTimeout(timer);
  form.ariaBusy = "true";
  let lost = false;
  try {
    const response = await fetch(api, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw response;
    const status = await response.json();
    hear(response);
    show(status);
  } catch {
    lost = true;
    time($("lost").querySelector("time"), $("as-of").dateTime);
  }
  $("lost").hidden = !lost;
  form.ariaBusy = null;
  timer = setTimeout(refresh, lost ? AGAIN : EVERY);
}

const api = document.querySelector('link[type="application/json"]').href;
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
text($("zone"), timeZone === "UTC" ? "in UTC" : `in your time zone, ${timeZone} (${full(now()).split(" ").pop()})`);
$("by-hand").hidden = !($("by-itself").hidden = false);
for (const element of all("time[datetime]")) time(element, element.getAttribute("datetime"));
ages();
setInterval(ages, 1000);
restore();
form.addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
addEventListener("online", refresh);
addEventListener("pageshow", (event) => event.persisted && refresh());
timer = setTimeout(refresh, EVERY);
// The page may have been drawn long before it was asked for: ages count from when it was.
fetch(api, { method: "HEAD", cache: "no-store" }).then(hear).then(ages).catch(() => {});
