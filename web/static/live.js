// Keeps a page true while it is open: fragments made by the server are fetched again when something happened.
//
// An element with data-fragment is such a fragment; data-at-most-every is the least time between two fetches, in milliseconds;
// data-poll is how often it is fetched without being told, in milliseconds; data-keep-query adds the page's own query.
// An element with data-events names the stream of a run; the badge inside .live says the truth about it.
"use strict";

const FETCH_MILLISECONDS = 10_000;
const RETRY_MILLISECONDS = 2_000;
// The browser does not show a stream's heartbeat, so after this long without an event the page asks by itself: a connection
// that died silently is found out, and nothing is called live that is not.
const SILENCE_MILLISECONDS = 20_000;
// A hidden page gives its connection back: a browser has only six for a server.
const HIDDEN_MILLISECONDS = 30_000;
const CLOSED = 2; // EventSource.CLOSED: the browser has given up

const EVENTS = [
  "reset", "run.started", "run.paused", "run.resumed", "run.finished", "run.drained", "run.progress",
  "call.progress", "job.changed", "command.accepted", "command.rejected", "worker.started", "worker.stopped",
];

class Fragment {
  constructor(element, told) {
    this.element = element;
    this.told = told;
    this.atMostEvery = Number(element.dataset.atMostEvery || 250);
    this.wanted = false;
    this.busy = false;
    this.timer = null;
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
    let pause = 0;
    try {
      const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(FETCH_MILLISECONDS) });
      if (answer.status === 401 || answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(String(answer.status));
      const text = await answer.text();
      // The reader has turned the page or changed the filter meanwhile: what came is of the page before.
      if (url === this.url()) await htmx.swap({ target: this.element, text, swap: "innerMorph" });
      else this.wanted = true;
      this.told(true);
    } catch {
      this.wanted = true;
      pause = RETRY_MILLISECONDS;
      this.told(false);
    } finally {
      this.busy = false;
      if (this.wanted) this.ask(pause);
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
    this.url = element.dataset.events;
    this.badge = badge;
    this.fragments = fragments;
    this.held = false;
    this.ended = false;
    this.source = null;
    this.silence = null;
    this.hidden = null;
  }

  open() {
    this.close();
    this.source = new EventSource(this.url);
    this.source.addEventListener("open", () => this.hear());
    this.source.addEventListener("error", () => this.lose());
    for (const name of EVENTS) this.source.addEventListener(name, () => this.hear(true));
    this.source.addEventListener("end", () => this.end());
    this.watch();
  }

  close() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.silence);
  }

  hear(changed = false) {
    if (!this.held) this.badge.show("live");
    if (changed) this.ask();
    this.watch();
  }

  lose() {
    if (!this.held) this.badge.show("reconnecting");
    if (this.source?.readyState !== CLOSED) return;
    this.close();
    setTimeout(() => this.resume(), RETRY_MILLISECONDS);
    this.ask();
  }

  resume() {
    if (this.source === null && !this.ended && !document.hidden) this.open();
  }

  end() {
    this.ended = true;
    this.close();
    if (!this.held) this.badge.show("ended");
    this.ask();
  }

  ask() {
    if (!this.held) for (const fragment of this.fragments) fragment.ask();
  }

  // What a fetch of a fragment says about the road to the server.
  told(reached) {
    if (this.ended || this.held) return;
    if (!reached) this.badge.show("reconnecting");
    else if (this.source?.readyState === 1) this.badge.show("live");
  }

  hold(held) {
    this.held = held;
    if (held) this.badge.show("held");
    else if (this.ended) this.badge.show("ended");
    else this.badge.show(this.source?.readyState === 1 ? "live" : "reconnecting");
    if (!held) this.ask();
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { this.ask(); this.watch(); }, SILENCE_MILLISECONDS);
  }

  rest() {
    this.close();
    if (!this.held) this.badge.show("reconnecting");
  }

  turned() {
    clearTimeout(this.hidden);
    if (this.ended) return;
    if (document.hidden) this.hidden = setTimeout(() => this.rest(), HIDDEN_MILLISECONDS);
    else if (this.source === null) this.open();
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
