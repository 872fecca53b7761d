// Keeps an open page up to date: fragments rendered by the server are fetched again when something changed.
//
// An element with data-fragment is such a fragment; data-at-most-every is the minimum time between two fetches, in milliseconds;
// data-poll is how often it is fetched without an event, in milliseconds; data-keep-query adds the page's own query.
// An element with data-events names the stream; data-run is the run it shows; the badge in .live shows the state of the connection.
// feed.js gets the events.
"use strict";

const FETCH_MILLISECONDS = 10_000;
const RETRY_FETCH_MILLISECONDS = 2_000;
// A browser has six connections to a server over HTTP/1.1: when a form is sent, in any window, fetches free theirs for this long.
const YIELD_MILLISECONDS = 1_000;
// After this long without an event the page refreshes anyway, so that it never claims to be live when it is not.
const SILENCE_MILLISECONDS = 20_000;

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
    this.last = -Infinity;
  }

  refresh(pause = 0) {
    this.wanted = true;
    if (this.busy || this.timer !== null) return;
    const wait = Math.max(pause, this.atMostEvery - (performance.now() - this.last), 0);
    this.timer = setTimeout(() => this.fetch(), wait);
  }

  url() {
    const query = "keepQuery" in this.element.dataset ? location.search : "";
    return this.element.dataset.fragment + query;
  }

  async fetch() {
    this.timer = null;
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
      // The page or the filter has changed during the fetch, so this fragment is out of date.
      if (url === this.url()) await htmx.swap({ target: this.element, text, swap: "innerMorph" });
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
    const time = this.clock.format(new Date());
    this.text.textContent = this.element.dataset[state].replace("{time}", time);
  }
}

class Live {
  constructor(element, badge, fragments) {
    const { events, worker, run } = element.dataset;
    this.badge = badge;
    this.fragments = fragments;
    this.feed = new Feed({ url: events, script: worker, reader: READER, run: Number(run) }, (message) => this.receive(message));
    this.state = "connecting";
    this.joined = false;
    this.held = false;
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
    if (this.held) this.badge.show("held");
    else if (this.ended) this.badge.show("ended");
    else if (this.state !== "connecting") this.badge.show(this.state);
  }

  end() {
    this.ended = true;
    this.close();
    this.show();
    this.refresh();
  }

  refresh() {
    if (!this.held) for (const fragment of this.fragments) fragment.refresh();
  }

  // A fetch shows whether the server can be reached, and whether the run is over.
  fetched(reached) {
    if (this.ended) return;
    if (reached && document.querySelector("[data-over]")) this.end();
    else if (!reached && !this.held) this.badge.show("reconnecting");
    else this.show();
  }

  hold(held) {
    this.held = held;
    this.show();
    if (!held) this.refresh();
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

function tick() {
  for (const element of document.querySelectorAll("[data-since]")) {
    const text = elapsed(element.dataset.since);
    if (element.textContent !== text) element.textContent = text;
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
    const hold = document.querySelector("[data-hold]");
    if (hold) {
      hold.hidden = false;
      hold.addEventListener("click", () => {
        const held = hold.getAttribute("aria-pressed") !== "true";
        hold.setAttribute("aria-pressed", String(held));
        live.hold(held);
      });
    }
  }
  setInterval(tick, 1000);
}

begin();
