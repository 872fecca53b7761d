// The one event stream of this browser: a shared worker runs this file and forwards to each page the events of its run, or of all runs to a page of none. A page loads it
// too, for browsers without shared workers (see feed.js).
//
// A worker belongs to one reader, who is part of its name; the server rejects the stream of any other reader.
"use strict";

const RETRY_MILLISECONDS = 2_000;
const LONGEST_RETRY_MILLISECONDS = 15_000;
// The server sends something every 10 s. After this long without anything the connection is considered dead.
const STREAM_SILENCE_MILLISECONDS = 25_000;
// The worker, or the leading page, sends a pulse to the other pages this often.
const PULSE_MILLISECONDS = 5_000;
const CLOSED = 2; // EventSource.CLOSED: the browser has given up

const EVENTS = [
  "run.started", "run.paused", "run.resumed", "run.finished", "run.drained", "run.progress",
  "call.progress", "job.changed", "command.accepted", "command.rejected",
];

// Keeps the stream open. `report` gets {state} when the connection changes, and {changed, run} for an event, with run null when any run may have changed.
class EventStream {
  constructor(url, report) {
    this.url = url;
    this.report = report;
    this.state = "connecting";
    this.source = null;
    this.retry = RETRY_MILLISECONDS;
    this.silence = null;
    this.reopening = null;
    this.channel = "BroadcastChannel" in self ? new BroadcastChannel("ringmaster") : null;
    this.channel?.addEventListener("message", (event) => { if (event.data === "sign-out") this.reconnectAfterSignOut(); });
  }

  open() {
    this.disconnect();
    this.source = new EventSource(this.url);
    this.source.addEventListener("open", () => this.setAlive());
    this.source.addEventListener("error", () => this.lost());
    this.source.addEventListener("reset", (event) => this.receiveReset(event));
    this.source.addEventListener("alive", () => this.setAlive());
    for (const name of EVENTS) this.source.addEventListener(name, (event) => this.forward(name, event));
    this.watch();
  }

  close() {
    this.disconnect();
    this.channel?.close();
  }

  disconnect() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.silence);
    clearTimeout(this.reopening);
  }

  // The server rejects the stream after a sign-out. If the sign-out failed, the stream comes back.
  reconnectAfterSignOut() {
    this.setState("reconnecting");
    this.reopen();
  }

  receiveReset(event) {
    this.setAlive(JSON.parse(event.data).live === false ? "delayed" : "live");
    this.report({ changed: "reset", run: null });
  }

  forward(name, event) {
    this.setAlive();
    this.report({ changed: name, run: JSON.parse(event.data).run_id });
  }

  setAlive(state = "live") {
    this.retry = RETRY_MILLISECONDS;
    this.setState(state);
    this.watch();
  }

  // The browser reconnects by itself after a lost connection, and gives up after an error response: another user may have signed in.
  lost() {
    this.setState("reconnecting");
    if (this.source?.readyState !== CLOSED) return;
    this.report({ changed: "refused", run: null });
    this.reopen();
  }

  reopen() {
    this.disconnect();
    this.reopening = setTimeout(() => this.open(), this.retry * (0.75 + Math.random() / 2));
    this.retry = Math.min(this.retry * 2, LONGEST_RETRY_MILLISECONDS);
  }

  watch() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => { this.setState("reconnecting"); this.reopen(); }, STREAM_SILENCE_MILLISECONDS);
  }

  setState(state) {
    if (this.state === state) return;
    this.state = state;
    this.report({ state });
  }
}

// The worker: it keeps the stream open while a visible page has joined.
class Hub {
  constructor() {
    this.pages = new Map();
    this.stream = null;
    setInterval(() => this.broadcast({ pulse: true }), PULSE_MILLISECONDS);
  }

  connect(port) {
    port.addEventListener("message", (event) => this.receive(port, event.data));
    port.start();
  }

  receive(port, message) {
    if (message.do === "join") this.join(port, message);
    else if (message.do === "leave") this.leave(port);
  }

  join(port, { url, run }) {
    this.pages.set(port, run);
    if (this.stream === null) {
      this.stream = new EventStream(url, (message) => this.forward(message));
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

  forward(message) {
    for (const [port, run] of this.pages) {
      if (!("run" in message) || message.run === null || run === null || message.run === run) port.postMessage(message);
    }
  }

  broadcast(message) {
    for (const port of this.pages.keys()) port.postMessage(message);
  }
}

if (typeof SharedWorkerGlobalScope !== "undefined" && self instanceof SharedWorkerGlobalScope) {
  const hub = new Hub();
  self.addEventListener("connect", (event) => hub.connect(event.ports[0]));
}
