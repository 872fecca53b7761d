// Keeps an open page up to date: fragments rendered by the server are fetched again when something changed.
//
// An element with data-fragment is such a fragment; data-at-most-every is the minimum time between two fetches, in milliseconds, and data-rest
// in it another one, for as long as it is there;
// data-poll is how often it is fetched without an event, in milliseconds; data-keep-query adds the page's own query.
// An element with data-events names the stream; data-run is the run it shows, all runs without it; the badge in .live shows the state of the connection.
// feed.js gets the events.
"use strict";

const FETCH_MILLISECONDS = 10_000;
const RETRY_FETCH_MILLISECONDS = 2_000;
// A browser has six connections to a server over HTTP/1.1: when a form is sent, in any window, fetches free theirs for this long.
const YIELD_MILLISECONDS = 1_000;
// After this long without an event the page refreshes anyway, so that it never claims to be live when it is not.
const SILENCE_MILLISECONDS = 20_000;
const SUMMARY_MILLISECONDS = 10_000;

// The user this page was rendered for.
const READER = document.querySelector("main").dataset.reader;

let reloading = false;

// Each fragment of a page learns of a sign-out by itself; a second reload would abort the first one on its way to the sign-in.
function reloadOnce() {
  if (!reloading) location.reload();
  reloading = true;
}

class Fragment {
  constructor(element, fetched) {
    this.element = element;
    this.fetched = fetched;
    this.atMostEvery = Number(element.dataset.atMostEvery || 250);
    this.wanted = false;
    this.busy = false;
    this.timer = null;
    this.aborting = null;
    this.yielded = false;
    this.held = false;
    this.last = -Infinity;
  }

  refresh(pause = 0) {
    this.wanted = true;
    if (this.busy || this.held || this.timer !== null) return;
    const rest = Number(this.element.querySelector("[data-rest]")?.dataset.rest ?? this.atMostEvery);
    const wait = Math.max(pause, rest - (performance.now() - this.last), 0);
    this.timer = setTimeout(() => this.fetch(), wait);
  }

  url() {
    const query = "keepQuery" in this.element.dataset ? location.search : "";
    return this.element.dataset.fragment + query;
  }

  async fetch() {
    this.timer = null;
    if (this.held) return;
    this.wanted = false;
    this.busy = true;
    this.last = performance.now();
    const url = this.url();
    const aborting = this.aborting = new AbortController();
    const patience = setTimeout(() => aborting.abort(), FETCH_MILLISECONDS);
    let pause = 0;
    try {
      const response = await fetch(url, { headers: { Accept: "text/html" }, signal: aborting.signal });
      if (response.status === 401 || response.status === 404) return reloadOnce();
      if (!response.ok) throw new Error(String(response.status));
      // Another user has signed in since; this page is not theirs.
      if (response.headers.get("X-Reader") !== READER) return reloadOnce();
      const text = await response.text();
      // The page or the filter has changed during the fetch, so this fragment is out of date; or the reader holds what is shown.
      if (url === this.url() && !this.held) await this.show(text);
      else this.wanted = true;
      this.fetched(true);
    } catch {
      this.wanted = true;
      pause = this.yielded ? YIELD_MILLISECONDS : RETRY_FETCH_MILLISECONDS;
      if (!this.yielded) this.fetched(false);
    } finally {
      clearTimeout(patience);
      this.busy = false;
      this.yielded = false;
      if (this.wanted) this.refresh(pause);
    }
  }

  // The morph keeps the focus and the selection; what the reader has opened or chosen stays so too.
  async show(text) {
    const open = [...this.element.querySelectorAll("details[open][id]")].map((details) => details.id);
    const checked = [...this.element.querySelectorAll("input:checked[id]")].map((input) => input.id);
    const values = [...this.element.querySelectorAll("select[id]")].map((select) => [select.id, select.value]);
    await htmx.swap({ target: this.element, text, swap: "innerMorph" });
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const input of this.element.querySelectorAll("input[id]")) input.checked = checked.includes(input.id);
    for (const [id, value] of values) { const select = document.getElementById(id); if (select) select.value = value; }
    this.showAgain();
    this.element.dispatchEvent(new CustomEvent("fragment", { bubbles: true }));
  }

  // What a fragment shows only for a moment goes without an event.
  showAgain() {
    clearTimeout(this.again);
    const passing = this.element.querySelector("[data-again]");
    if (passing) this.again = setTimeout(() => this.refresh(), Number(passing.dataset.again));
  }

  hold(held) {
    this.held = held;
    if (!held) this.refresh();
  }

  // Frees its connection for a moment.
  yieldConnection() {
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
      this.refresh(YIELD_MILLISECONDS);
    } else if (this.busy) {
      this.yielded = true;
      this.aborting.abort();
    }
  }
}

class Badge {
  constructor(element) {
    this.element = element;
    this.text = element.querySelector(".live-text");
    this.clock = new Intl.DateTimeFormat(document.documentElement.lang, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: element.dataset.zone, numberingSystem: "latn" });
    element.hidden = false;
    for (const note of document.querySelectorAll("[data-unscripted]")) note.hidden = true;
  }

  show(state) {
    if (this.element.dataset.state === state) return;
    this.element.dataset.state = state;
    document.documentElement.dataset.connection = state;
    const time = this.clock.format(new Date());
    this.text.textContent = this.element.dataset[state].replace("{time}", time);
  }
}

class Live {
  constructor(element, badge, fragments) {
    const { events, worker, run } = element.dataset;
    this.badge = badge;
    this.fragments = fragments;
    this.feed = new Feed({ url: events, script: worker, reader: READER, run: run ? Number(run) : null }, (message) => this.receive(message));
    this.state = "connecting";
    this.joined = false;
    this.ended = false;
    this.silence = null;
    this.hidden = null;
  }

  open() {
    this.joined = true;
    this.feed.join();
    this.watch();
  }

  close() {
    this.joined = false;
    this.state = "reconnecting";
    this.feed.leave();
    clearTimeout(this.silence);
  }

  receive(message) {
    if (!this.joined) return;
    if (message.state) this.setState(message.state);
    if (message.changed) this.refresh();
    this.watch();
  }

  setState(state) {
    const before = this.state;
    this.state = state;
    this.show();
    // Events missed while the state changed are covered by this refresh.
    if (before !== state) this.refresh();
  }

  show() {
    if (this.ended) this.badge.show("ended");
    else if (this.state !== "connecting") this.badge.show(this.state);
  }

  end() {
    this.ended = true;
    this.close();
    this.show();
    this.refresh();
  }

  refresh() {
    for (const fragment of this.fragments) fragment.refresh();
  }

  // A fetch shows whether the server can be reached, and whether the run is over.
  fetched(reached) {
    if (this.ended) return;
    if (reached && document.querySelector("[data-over]")) this.end();
    else if (!reached) this.badge.show("reconnecting");
    else this.show();
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { this.refresh(); this.watch(); }, SILENCE_MILLISECONDS);
  }

  suspend() {
    this.close();
    this.show();
  }

  visibilityChanged() {
    clearTimeout(this.hidden);
    if (this.ended) return;
    // A reader who wants to be notified of the end looks elsewhere meanwhile.
    if (document.hidden && this.feed.mayStayHidden && document.documentElement.dataset.notifies === "yes") return;
    if (document.hidden) this.hidden = setTimeout(() => this.suspend(), this.feed.hiddenMilliseconds);
    else if (!this.joined) this.open();
    else this.refresh();
  }
}

function elapsed(since) {
  const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(since)) / 1000));
  const rest = String(seconds % 60).padStart(2, "0");
  return seconds < 3600 ? `${Math.floor(seconds / 60)}:${rest}` : `${Math.floor(seconds / 3600)}:${String(Math.floor(seconds / 60) % 60).padStart(2, "0")}:${rest}`;
}

// Without a connection nobody knows whether a call still goes on.
function tick() {
  if (document.documentElement.dataset.connection === "reconnecting") return;
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = elapsed(element.dataset.since);
    if (element.textContent !== text) element.textContent = text;
  }
}

// A call keeps its place among the lines from its beginning to its end; the next one takes a place that is free.
class Lanes {
  constructor() {
    this.places = new Map();
  }

  arrange() {
    const lanes = [...document.querySelectorAll("[data-lanes] > li")];
    const kept = new Map();
    const free = new Set(lanes.keys());
    for (const lane of lanes) {
      const place = this.places.get(lane.id) ?? this.places.get(lane.dataset.after);
      if (lane.id && free.delete(place)) kept.set(lane, place);
    }
    const places = free.values();
    for (const lane of lanes) {
      const place = kept.get(lane) ?? places.next().value;
      lane.style.order = place;
      kept.set(lane, place);
    }
    this.places = new Map(lanes.filter((lane) => lane.id).map((lane) => [lane.id, kept.get(lane)]));
  }
}

// The title of the window has the state of the page; a screen reader hears a summary, at most every ten seconds.
class Summary {
  constructor(region) {
    this.region = region;
    this.timer = null;
    this.last = -Infinity;
  }

  update() {
    const titled = document.querySelector("[data-title]");
    if (titled) document.title = titled.dataset.title;
    const text = document.querySelector("[data-summary]")?.dataset.summary;
    if (!text || !this.region || this.timer !== null) return;
    const wait = Math.max(SUMMARY_MILLISECONDS - (performance.now() - this.last), 0);
    this.timer = setTimeout(() => this.say(), wait);
  }

  say() {
    this.timer = null;
    this.last = performance.now();
    const text = document.querySelector("[data-summary]")?.dataset.summary;
    if (text && this.region.textContent !== text) this.region.textContent = text;
  }
}

function begin() {
  const streamed = document.querySelector("[data-events]");
  let live = null;
  const fragments = [...document.querySelectorAll("[data-fragment]")].map((element) => new Fragment(element, (reached) => live?.fetched(reached)));
  for (const fragment of fragments) {
    if (fragment.element.dataset.poll) setInterval(() => { if (!document.hidden) fragment.refresh(); }, Number(fragment.element.dataset.poll));
  }
  if ("BroadcastChannel" in window) {
    new BroadcastChannel("ringmaster").addEventListener("message", (event) => {
      if (event.data === "yield connections") for (const fragment of fragments) fragment.yieldConnection();
    });
  }
  if (streamed) {
    live = new Live(streamed, new Badge(document.querySelector(".live")), fragments);
    live.open();
    document.addEventListener("visibilitychange", () => live.visibilityChanged());
    addEventListener("online", () => live.refresh());
    addEventListener("offline", () => live.fetched(false));
    addEventListener("pagehide", () => live.close());
    addEventListener("pageshow", (event) => { if (event.persisted) live.visibilityChanged(); });
  }
  for (const button of document.querySelectorAll("[data-hold]")) {
    const held = fragments.find((fragment) => fragment.element.id === button.dataset.hold);
    button.hidden = !held;
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(pressed));
      held.hold(pressed);
    });
  }
  const lanes = new Lanes();
  lanes.arrange();
  const summary = new Summary(document.getElementById("summary"));
  document.addEventListener("fragment", () => { summary.update(); lanes.arrange(); });
  setInterval(tick, 1000);
}

begin();
