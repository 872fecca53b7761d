// Keeps a page true while it is open: fragments made by the server are fetched again when something happened.
//
// An element with data-fragment is such a fragment; data-at-most-every is the least time between two fetches, in milliseconds;
// data-poll is how often it is fetched without being told, in milliseconds; data-keep-query adds the page's own query.
// An element with data-events names the stream; data-run is the run it shows; the badge inside .live says the truth about the connection.
// How the events get here is feed.js's.
"use strict";

const FETCH_MILLISECONDS = 10_000;
const RETRY_FETCH_MILLISECONDS = 2_000;
// A browser has six connections for a server over HTTP/1.1: when a form is sent, in whichever window, the fetches let go of theirs for this long.
const WAY_MILLISECONDS = 1_000;
// After this long without an event the page asks by itself: nothing is called live that is not.
const SILENCE_MILLISECONDS = 20_000;

// Who this page was made for.
const READER = document.querySelector("main").dataset.reader;

class Fragment {
  constructor(element, told) {
    this.element = element;
    this.told = told;
    this.atMostEvery = Number(element.dataset.atMostEvery || 250);
    this.wanted = false;
    this.busy = false;
    this.timer = null;
    this.aborting = null;
    this.yielded = false;
    this.last = -Infinity;
  }

  ask(pause = 0) {
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
      const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: aborting.signal });
      if (answer.status === 401 || answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      // Somebody else has signed in meanwhile: this page is not theirs.
      if (answer.headers.get("X-Reader") !== READER) return location.reload();
      const text = await answer.text();
      // The reader has turned the page or changed the filter meanwhile: what came is of the page before.
      if (url === this.url()) await htmx.swap({ target: this.element, text, swap: "innerMorph" });
      else this.wanted = true;
      this.told(true);
    } catch {
      this.wanted = true;
      pause = this.yielded ? WAY_MILLISECONDS : RETRY_FETCH_MILLISECONDS;
      if (!this.yielded) this.told(false);
    } finally {
      clearTimeout(patience);
      this.busy = false;
      this.yielded = false;
      if (this.wanted) this.ask(pause);
    }
  }

  // Gives its connection back for a moment.
  makeWay() {
    if (this.timer !== null) {
      clearTimeout(this.timer);
      this.timer = null;
      this.ask(WAY_MILLISECONDS);
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
    this.feed = new Feed({ url: events, script: worker, reader: READER, run: Number(run) }, (message) => this.hear(message));
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

  hear(message) {
    if (!this.joined) return;
    if (message.state) this.become(message.state);
    if (message.changed) this.ask();
    this.watch();
  }

  become(state) {
    const before = this.state;
    this.state = state;
    this.show();
    // What happened before this page was told of it is in what it fetches now.
    if (before !== state) this.ask();
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
    this.ask();
  }

  ask() {
    if (!this.held) for (const fragment of this.fragments) fragment.ask();
  }

  // What a fetch of a fragment says about the road to the server, and about the run.
  told(reached) {
    if (this.ended) return;
    if (reached && document.querySelector("[data-over]")) this.end();
    else if (!reached && !this.held) this.badge.show("reconnecting");
    else this.show();
  }

  hold(held) {
    this.held = held;
    this.show();
    if (!held) this.ask();
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { this.ask(); this.watch(); }, SILENCE_MILLISECONDS);
  }

  rest() {
    this.close();
    this.show();
  }

  turned() {
    clearTimeout(this.hidden);
    if (this.ended) return;
    if (document.hidden) this.hidden = setTimeout(() => this.rest(), this.feed.hiddenMilliseconds);
    else if (!this.joined) this.open();
    else this.ask();
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
  const fragments = [...document.querySelectorAll("[data-fragment]")].map((element) => new Fragment(element, (reached) => live?.told(reached)));
  for (const fragment of fragments) {
    if (fragment.element.dataset.poll) setInterval(() => { if (!document.hidden) fragment.ask(); }, Number(fragment.element.dataset.poll));
  }
  if ("BroadcastChannel" in window) {
    new BroadcastChannel("ringmaster").addEventListener("message", (event) => {
      if (event.data === "make way") for (const fragment of fragments) fragment.makeWay();
    });
  }
  if (streamed) {
    live = new Live(streamed, new Badge(document.querySelector(".live")), fragments);
    live.open();
    document.addEventListener("visibilitychange", () => live.turned());
    addEventListener("online", () => live.ask());
    addEventListener("offline", () => live.told(false));
    addEventListener("pagehide", () => live.close());
    addEventListener("pageshow", (event) => { if (event.persisted) live.turned(); });
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
