// Keeps the page fresh. All of it works without, in UTC.
const $ = (id, page = document) => page.getElementById(id);
const all = (selector, page = document) => [...page.querySelectorAll(selector)];
const EVERY = 300_000, AGAIN = 30_000;
const form = $("refresh");

// The server's clock, carried on: the visitor's own may be days off.
let server = Date.parse($("page").dataset.now), at = 0;
const now = () => server + performance.now() - at;
function hear({ headers }) {
  const date = Date.parse(headers.get("date"));
  if (date) [server, at] = [date, performance.now()];
}

const format = (timeStyle, dateStyle) => new Intl.DateTimeFormat("en-GB", { dateStyle, timeStyle }).format;
const day = format(undefined, "medium"), full = format("long", "medium");
const as = {
  clock: format("medium"),
  stamp: format("medium", "medium"),
  hm: format("short"),
  moment: (instant) => (day(instant) === day(now()) ? as.hm : format("short", "medium"))(instant),
  age(instant, element) {
    const past = now() - instant;
    return past <= -1000 ? `in ${length(-past)}` : element.closest("#next-check") ? "due now" : `${length(past)} ago`;
  },
};
function length(ms) {
  const [s, m, h, d] = [1, 60, 3600, 86_400].map((size) => Math.floor(ms / 1000 / size));
  const two = (n, unit, rest, small) => n + "\u00a0" + unit + (rest ? ` ${rest}\u00a0${small}` : "");
  return d ? two(d, d > 1 ? "days" : "day", h % 24, "h") : h ? two(h, "h", m % 60, "min") : m ? two(m, "min") : two(s, "s");
}
function time(element) {
  const instant = Date.parse(element.dateTime), words = as[element.dataset.as](instant, element);
  element.title ||= full(instant);
  if (element.textContent !== words) element.textContent = words;
}
const ages = () => all("[data-as=age]").forEach(time);

// Makes a page that of this visitor.
function dress(page) {
  const { timeZone } = new Intl.DateTimeFormat().resolvedOptions();
  $("zone", page).textContent = `${timeZone} (${full(now()).split(" ").pop()}).`.replace("UTC (UTC)", "UTC");
  all("time[datetime]", page).forEach(time);
  for (const details of all("details", page)) details.open = $(details.id)?.open ?? details.open;
  for (const strip of all(".strip", page)) put(strip, LAST);
  seek(page);
}
// Hides what is not sought, until a link leads there.
function seek(page) {
  const found = $("found", page), sought = $("search")?.value.trim().toLowerCase() ?? "";
  if (!found) return;
  const cards = all(".card", page), shown = cards.filter((card) => {
    const names = [card.closest(".group").dataset.name, card.id.slice(2), ...all("bdi", card).map((bdi) => bdi.textContent)];
    const bears = names.join("\n").toLowerCase().includes(sought);
    card.hidden = !bears && "until-found";
    return bears && !(kept.only && card.dataset.status === "online");
  });
  found.textContent = shown[0] ? `${shown.length} of ${cards.length} services` : "No service matches";
  $("only", page).checked = kept.only;
}
function keep(choice) {
  Object.assign(kept, choice);
  paint();
  try { localStorage.status = JSON.stringify(kept); } catch {}
}

// A strip of days is one slider, by mouse, finger and keyboard.
const LAST = 89;
function put(strip, day) {
  const first = matchMedia("(max-width: 639px)").matches ? 60 : 0, ariaValueText = words(strip, day);
  Object.assign(strip, { role: "slider", tabIndex: 0, ariaValueMin: first, ariaValueMax: LAST, ariaValueNow: day, ariaValueText });
}
function words({ dataset, firstChild }, day) {
  const event = firstChild.querySelector(`[d^="M${day * 6 + 2} "]`);
  if (event) return event.textContent;
  let end = 0;
  const [checks] = dataset.checks.split(" ").map((run) => run.split("*").map(Number)).find(([, days = 1]) => day < (end += days));
  const of = checks ? `100% of ${checks.toLocaleString("en-US")}\u00a0check${checks > 1 ? "s" : ""}, no outage` : "not measured";
  const date = new Date((dataset.today - LAST + day) * 86_400_000).toUTCString();
  return `${date.slice(0, -18).replace(/, 0?/, " ")}: ${of}`;
}
// The day that is told: a mark and a line.
let told;
function tell(strip, day) {
  told?.nextSibling.remove();
  told?.firstChild.lastChild.remove();
  told = strip;
  if (!strip) return;
  day = Math.min(LAST, Math.max(strip.ariaValueMin, day));
  put(strip, day);
  strip.firstChild.insertAdjacentHTML("beforeend", `<path class="mark" d="M${day * 6 + 2} 29v3"/>`);
  strip.after(Object.assign(document.createElement("p"), { className: "told", textContent: strip.ariaValueText }));
}
function point({ target, clientX }) {
  const strip = target.closest?.(".strip");
  if (!strip) return document.activeElement.matches(".strip") || tell();
  const { left, width } = strip.firstChild.getBoundingClientRect();
  tell(strip, Math.floor((clientX - left) / width * 90));
}

// Makes one tree like another; what is alike stays: spoken, selected, focused.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (!old.attributes) return old.replaceWith(fresh);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  // What is gone goes first: the rest need not move.
  for (const child of [...old.children]) if (child.id && !fresh.children.namedItem(child.id)) child.remove();
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = child.id ? $(child.id) : place;
    const alike = same?.parentNode === old && same.nodeName === child.nodeName && same.id === child.id;
    if (alike && same === place) place = place.nextSibling;
    else old.insertBefore(alike ? same : child, place);
    if (alike) morph(same, child);
  }
  while (place?.nextSibling) place.nextSibling.remove();
  place?.remove();
}

function show(fresh) {
  // Another version of this server.
  const has = ({ outerHTML }) => document.head.innerHTML.includes(outerHTML);
  if (!all("[rel=stylesheet], script", fresh).every(has)) return location.reload();
  const held = document.activeElement, strip = told, day = strip?.ariaValueNow;
  tell();
  dress(fresh);
  // Only changes of state are said.
  const changed = all(".card", fresh).filter(({ id, dataset }) => $(id) && $(id).dataset.status !== dataset.status);
  const said = changed.length > 5 ? [`${changed.length} services changed their state.`]
    : changed.map((c) => `${c.querySelector("h3").textContent} is now ${c.querySelector(".state").textContent}.`);
  if ($("hero", fresh).dataset.status !== $("hero").dataset.status) said.push(`${$("overall", fresh).textContent}.`);
  $("said", fresh).textContent = said.join(" ") || $("said").textContent;
  morph(document.body, fresh.body);
  morph($("icon"), $("icon", fresh));
  document.title = fresh.title;
  if (held !== document.activeElement || !held.checkVisibility()) $("again").focus({ preventScroll: true });
  if (strip?.isConnected) tell(strip, day);
}
let timer, wanted, wait;
function again(delay) {
  clearTimeout(timer);
  timer = setTimeout(refresh, delay);
}
async function refresh() {
  if (form.ariaBusy) return;
  form.ariaBusy = "true";
  let next = AGAIN;
  try {
    const response = await fetch(form.action, { cache: "no-cache", signal: AbortSignal.timeout(10_000) });
    if (!response.ok) throw response;
    hear(response);
    show(new DOMParser().parseFromString(await response.text(), "text/html"));
    // A proxy may still hand out the old.
    next = shown() < wanted ? Math.min(wait *= 2, EVERY) : EVERY;
  } catch {
    $("lost").hidden = false;
  }
  form.ariaBusy = null;
  again(next);
}

// Changes as they happen; not all ask at once.
const shown = () => Date.parse($("as-of").dateTime);
function hearOf({ lastEventId }) {
  [wanted, wait] = [Date.parse(lastEventId), 500];
  if (shown() < wanted) again(Math.random() * 250);
}
function listen() {
  const events = new EventSource(new URL("../../api/status/events", import.meta.url));
  for (const name of ["hello", "change"]) events.addEventListener(name, hearOf);
  events.addEventListener("missed", refresh);
  // Refused for good.
  events.onerror = () => events.readyState === EventSource.CLOSED && setTimeout(listen, AGAIN);
}

const does = {
  submit(event) {
    event.preventDefault();
    refresh();
  },
  input() {
    keep({ theme: $("theme").value, only: $("only")?.checked ?? kept.only });
    seek(document);
  },
  keydown(event) {
    const { key, target } = event;
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, Home: -LAST, End: LAST }[key];
    if (by && target.matches(".strip")) tell(target, +target.ariaValueNow + by);
    else if (target.id === "search" && key === "Escape") {
      target.value = "";
      seek(document);
    } else return;
    event.preventDefault();
  },
  toggle: ({ target }) => target.dataset.name && keep({ closed: all("[data-name]:not([open])").map(({ dataset }) => dataset.name) }),
  pointermove: point,
  pointerdown: point,
  focusin: ({ target }) => target.matches(".strip") && told !== target && tell(target, target.ariaValueNow),
  focusout: () => tell(),
  online: refresh,
  pageshow: ({ persisted }) => persisted && refresh(),
};
for (const event in does) addEventListener(event, does[event], true);
document.documentElement.dataset.script = "";
$("theme").value = kept.theme ?? "";
dress(document);
setInterval(ages, 1000);
if (window.EventSource) listen();
again(EVERY);
// The page may have been drawn long ago.
fetch(form.action, { method: "HEAD", cache: "no-store" }).then(hear).then(ages).catch(() => {});
