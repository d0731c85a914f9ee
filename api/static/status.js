// Keeps the page fresh: asks for it again and puts what differs in place. All of it works without, in UTC.
const $ = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const EVERY = 300_000, AGAIN = 30_000, PATIENCE = 10_000, TOLD = 5;
const NB = "\u00a0";
const page = $("refresh").action;

// The server's clock, carried on from its last word: the visitor's own may be days off.
let server = Date.parse($("page").dataset.now);
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
const as = { clock: format(hms), stamp: format({ ...dmy, ...hms }), hm: format(hm) };
const once = format({ ...dmy, ...hm });
as.moment = (instant) => (day(instant) === day(now()) ? as.hm : once)(instant);
const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();

const text = (element, words) => element.textContent === words || (element.textContent = words);
function time(element) {
  const instant = Date.parse(element.getAttribute("datetime"));
  element.title = full(instant);
  text(element, as[element.dataset.as](instant));
}
function length(ms) {
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  const two = (n, unit, rest, small) => n + NB + unit + (rest ? ` ${rest}${NB}${small}` : "");
  return d ? two(d, d > 1 ? "days" : "day", h % 24, "h") : h ? two(h, "h", m % 60, "min") : m ? two(m, "min") : two(s, "s");
}
function ages(within = document) {
  for (const element of all(".clock time", within)) {
    const past = now() - Date.parse(element.dateTime), next = element.closest("#next-check");
    text(element.nextSibling, past <= -1000 ? `in ${length(-past)}` : next ? "due now" : `${length(past)} ago`);
  }
}

// A page from the server, with the visitor's time zone and the ages of things.
function dress(body) {
  const within = (id) => body.querySelector(`#${id}`);
  text(within("zone"), timeZone === "UTC" ? "in UTC" : `in your time zone, ${timeZone} (${full(now()).split(" ").pop()})`);
  within("by-hand").hidden = !(within("by-itself").hidden = false);
  for (const element of all("time[datetime]", body)) time(element);
  ages(body);
  for (const strip of all(".strip", body)) slider(strip);
}

// A strip of days is one slider: each day in words, by mouse, finger and keyboard.
const DAYS = 90, narrow = matchMedia("(max-width: 639px)");
const firstDay = () => narrow.matches ? DAYS - 30 : 0;
const date = format({ weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
function slider(strip) {
  strip.role = "slider";
  strip.tabIndex = 0;
  strip.ariaValueMin = firstDay();
  strip.ariaValueMax = strip.ariaValueNow = DAYS - 1;
  strip.ariaValueText = words(strip, DAYS - 1);
}
function words({ dataset, firstChild }, day) {
  const runs = dataset.checks.split(" ").map((run) => run.split("*").map(Number));
  let end = 0;
  const [checks] = runs.find(([, days = 1]) => day < (end += days));
  const event = all(".b-slow, .b-out", firstChild).find((bar) => bar.getAttribute("d").startsWith(`M${day * 6 + 2} `));
  if (event) return event.textContent;
  const told = checks ? `100% of ${checks.toLocaleString("en-US")}${NB}check${checks > 1 ? "s" : ""}, no outage` : "not measured";
  return `${date((dataset.today - DAYS + 1 + day) * 86_400_000).replace(",", "")}: ${told}`;
}
// The day that is told: a mark below its bar, and a line below the strip.
const line = Object.assign(document.createElement("p"), { className: "told" });
const mark = document.createElementNS("http://www.w3.org/2000/svg", "path");
mark.setAttribute("class", "mark");
let told;
function tell(strip, day) {
  untell();
  told = { id: strip.id, day: Math.min(DAYS - 1, Math.max(firstDay(), day)) };
  strip.ariaValueNow = told.day;
  line.textContent = strip.ariaValueText = words(strip, told.day);
  mark.setAttribute("d", `M${told.day * 6 + 2} 29v3`);
  strip.firstChild.append(mark);
  strip.after(line);
}
function untell() {
  mark.remove();
  line.remove();
  told = undefined;
}
function point({ target, clientX }) {
  const strip = target.closest?.(".strip");
  if (!strip) return void (document.activeElement.matches(".strip") || untell());
  const { left, width } = strip.firstChild.getBoundingClientRect();
  tell(strip, Math.floor((clientX - left) / width * DAYS));
}
function step(event) {
  const strip = event.target.closest(".strip");
  const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -DAYS, End: DAYS }[event.key];
  if (!strip || !by) return;
  event.preventDefault();
  tell(strip, (told?.id === strip.id ? told.day : DAYS - 1) + by);
}

// Makes one tree like another; what is alike stays, so that nothing is spoken, selected or focused anew. Elements
// with an id are the same wherever they stand.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) return void (old.data = fresh.data);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    let same = child.id ? named.get(child.id) : place;
    if (!same || same.nodeName !== child.nodeName || (same.id ?? "") !== (child.id ?? "")) same = undefined;
    if (!same) old.insertBefore(child, place);
    else {
      if (same === place) place = place.nextSibling;
      else old.insertBefore(same, place);
      morph(same, child);
    }
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

const states = () => new Map(all(".card").map((card) => [card.id, card.dataset.status]));
function announce(before, overall) {
  const changed = all(".card").filter((c) => before.has(c.id) && before.get(c.id) !== c.dataset.status);
  const said = changed.length > TOLD ? [`${changed.length} services changed their state.`]
    : changed.map((c) => `${c.querySelector("h3").textContent} is now ${c.querySelector(".state").textContent}.`);
  if (overall !== $("hero").dataset.status) said.push(`${$("overall").textContent}.`);
  if (said.length) $("said").textContent = said.join(" ");
}

function show(fresh) {
  // Another version of this server: another script or style.
  const parts = ({ head }) => all("[rel=stylesheet], script", head).map((part) => part.outerHTML).join();
  if (parts(fresh) !== parts(document)) return location.reload();
  const before = states(), overall = $("hero").dataset.status, held = document.activeElement, day = told;
  untell();
  for (const id of ["lost", "said"]) fresh.getElementById(id).replaceWith($(id).cloneNode(true));
  dress(fresh.body);
  morph(document.body, fresh.body);
  document.title = fresh.title;
  if (held !== document.activeElement && held !== document.body) $("again").focus({ preventScroll: true });
  if (day && $(day.id)) tell($(day.id), day.day);
  announce(before, overall);
}
let timer, soon, wanted = 0, tries = 0, busy = false;
async function refresh() {
  if (busy) return;
  clearTimeout(timer);
  clearTimeout(soon);
  soon = undefined;
  busy = true;
  $("refresh").ariaBusy = "true";
  let lost = false;
  try {
    const response = await fetch(page, { cache: "no-cache", signal: AbortSignal.timeout(PATIENCE) });
    if (!response.ok) throw response;
    const html = await response.text();
    hear(response);
    show(new DOMParser().parseFromString(html, "text/html"));
  } catch {
    lost = true;
    const said = $("lost").querySelector("time");
    said.dateTime = $("as-of").dateTime;
    time(said);
  }
  $("lost").hidden = !lost;
  busy = false;
  $("refresh").ariaBusy = null;
  timer = setTimeout(refresh, lost ? AGAIN : EVERY);
  // A proxy may still hand out the old.
  if (!lost && shown() < wanted && tries < 5) later(1000 << tries++);
}

// Changes are told as they happen; not everybody asks at the same instant.
const shown = () => Date.parse($("as-of").dateTime);
const later = (delay) => (soon ??= setTimeout(refresh, delay));
function hearOf({ lastEventId }) {
  [wanted, tries] = [Date.parse(lastEventId) || 0, 0];
  if (shown() < wanted) later(Math.random() * 250);
}
function listen() {
  const events = new EventSource(`${document.querySelector('link[type="application/json"]').href}/events`);
  for (const name of ["hello", "change"]) events.addEventListener(name, hearOf);
  events.addEventListener("missed", refresh);
  // Where it is refused for good: the page refreshes itself all the same.
  events.onerror = () => events.readyState === EventSource.CLOSED && setTimeout(listen, AGAIN);
}

dress(document.body);
setInterval(() => ages(), 1000);
$("refresh").addEventListener("submit", (event) => {
  event.preventDefault();
  refresh();
});
addEventListener("pointermove", point);
addEventListener("pointerdown", point);
addEventListener("keydown", step);
addEventListener("focusin", ({ target }) => target.matches(".strip") && told?.id !== target.id && tell(target, DAYS - 1));
addEventListener("focusout", ({ target }) => target.matches(".strip") && untell());
addEventListener("online", refresh);
if (window.EventSource) listen();
addEventListener("pageshow", (event) => event.persisted && refresh());
timer = setTimeout(refresh, EVERY);
// The page may have been drawn long before it was asked for: ages count from when it was.
fetch(page, { method: "HEAD", cache: "no-store" }).then(hear).then(() => ages()).catch(() => {});
