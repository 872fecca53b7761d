// The one stream of events of this browser: a shared worker runs this file and passes on to the pages what concerns them. A page loads
// it too, for browsers without shared workers (see feed.js).
//
// A worker belongs to one reader: its name holds who that is, and the server refuses the stream to anybody else.
"use strict";

const RETRY_MILLISECONDS = 2_000;
const LONGEST_RETRY_MILLISECONDS = 15_000;
// The server sends something every 10 s. After this long without anything the connection has died silently.
const STREAM_SILENCE_MILLISECONDS = 25_000;
// A page hears this often that its worker, or the page that leads, is there.
const PULSE_MILLISECONDS = 5_000;
const CLOSED = 2; // EventSource.CLOSED: the browser has given up

const EVENTS = [
  "run.started", "run.paused", "run.resumed", "run.finished", "run.drained", "run.progress",
  "call.progress", "job.changed", "command.accepted", "command.rejected",
];

// Keeps the stream open. `told` gets {state} when the connection changes, {changed, run} for an event, and run null when anything may have changed.
class EventStream {
  constructor(url, told) {
    this.url = url;
    this.told = told;
    this.state = "connecting";
    this.source = null;
    this.retry = RETRY_MILLISECONDS;
    this.silence = null;
    this.reopening = null;
    this.channel = "BroadcastChannel" in self ? new BroadcastChannel("ringmaster") : null;
    this.channel?.addEventListener("message", (event) => { if (event.data === "sign-out") this.signOut(); });
  }

  open() {
    this.shut();
    this.source = new EventSource(this.url);
    this.source.addEventListener("open", () => this.alive());
    this.source.addEventListener("error", () => this.lose());
    this.source.addEventListener("reset", (event) => this.reset(event));
    this.source.addEventListener("alive", () => this.alive());
    for (const name of EVENTS) this.source.addEventListener(name, (event) => this.pass(name, event));
    this.watch();
  }

  close() {
    this.shut();
    this.channel?.close();
  }

  shut() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.silence);
    clearTimeout(this.reopening);
  }

  // Nothing is read any more for somebody who leaves. Where the sign-out did not get through, the stream comes back.
  signOut() {
    this.become("reconnecting");
    this.reopen();
  }

  reset(event) {
    this.alive(JSON.parse(event.data).live === false ? "delayed" : "live");
    this.told({ changed: "reset", run: null });
  }

  pass(name, event) {
    this.alive();
    this.told({ changed: name, run: JSON.parse(event.data).run_id });
  }

  alive(state = "live") {
    this.retry = RETRY_MILLISECONDS;
    this.become(state);
    this.watch();
  }

  // The browser tries again by itself after a lost connection, and gives up after a refusal: by then somebody else may be signed in.
  lose() {
    this.become("reconnecting");
    if (this.source?.readyState !== CLOSED) return;
    this.told({ changed: "refused", run: null });
    this.reopen();
  }

  reopen() {
    this.shut();
    this.reopening = setTimeout(() => this.open(), this.retry * (0.75 + Math.random() / 2));
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY_MILLISECONDS);
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { this.become("reconnecting"); this.reopen(); }, STREAM_SILENCE_MILLISECONDS);
  }

  become(state) {
    if (this.state === state) return;
    this.state = state;
    this.told({ state });
  }
}

// The worker: the stream is open while a page that can be seen has joined.
class Hub {
  constructor() {
    this.pages = new Map();
    this.stream = null;
    setInterval(() => this.say({ pulse: true }), PULSE_MILLISECONDS);
  }

  connect(port) {
    port.addEventListener("message", (event) => this.hear(port, event.data));
    port.start();
  }

  hear(port, message) {
    if (message.do === "join") this.join(port, message);
    else if (message.do === "leave") this.leave(port);
  }

  join(port, { url, run }) {
    this.pages.set(port, run);
    if (this.stream === null) {
      this.stream = new EventStream(url, (message) => this.pass(message));
      this.stream.open();
    }
    port.postMessage({ state: this.stream.state });
  }

  leave(port) {
    this.pages.delete(port);
    if (this.pages.size > 0) return;
    this.stream?.close();
    this.stream = null;
  }

  pass(message) {
    for (const [port, run] of this.pages) {
      if (!("run" in message) || message.run === null || message.run === run) port.postMessage(message);
    }
  }

  say(message) {
    for (const port of this.pages.keys()) port.postMessage(message);
  }
}

if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
  const hub = new Hub();
  self.addEventListener("connect", (event) => hub.connect(event.ports[0]));
}
