// How a page gets its events, with one stream a browser however many pages are open: from a shared worker; without shared workers, from a
// leading page, elected with the browser's locks; and without locks, from a stream of its own while the page is visible.
//
// A feed calls `report` with {state} and {changed, run}; `join` and `leave` may be called repeatedly.
"use strict";

// After this long without a pulse the worker or the leading page is considered dead.
const PULSE_PATIENCE_MILLISECONDS = 20_000;

function concerns(message, target) {
  return !("run" in message) || message.run === null || target.run === null || message.run === target.run;
}

class Pulse {
  constructor(stopped) {
    this.stopped = stopped;
    this.timer = null;
  }

  beat() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.stopped, PULSE_PATIENCE_MILLISECONDS);
  }

  end() {
    clearTimeout(this.timer);
  }
}

class WorkerFeed {
  constructor(target, report, failed) {
    this.target = target;
    this.report = report;
    this.failed = failed;
    this.port = null;
    this.silent = 0;
    this.hiddenMilliseconds = 30_000;
    this.pulse = new Pulse(() => this.pulseMissed());
  }

  join() {
    this.leave();
    const worker = new SharedWorker(this.target.script, { name: `ringmaster ${this.target.reader}` });
    worker.addEventListener("error", () => { this.leave(); this.failed(); });
    this.port = worker.port;
    this.port.addEventListener("message", (event) => this.receive(event.data));
    this.port.start();
    this.port.postMessage({ do: "join", url: this.target.url, run: this.target.run });
    this.pulse.beat();
  }

  leave() {
    this.pulse.end();
    this.port?.postMessage({ do: "leave" });
    this.port?.close();
    this.port = null;
  }

  receive(message) {
    this.silent = 0;
    this.pulse.beat();
    if (!message.pulse) this.report(message);
  }

  // Pulses are also missed while the machine sleeps, so the worker gets a second chance.
  pulseMissed() {
    this.silent += 1;
    if (this.silent === 1) return this.join();
    this.leave();
    this.failed();
  }
}

class LeaderFeed {
  constructor(target, report, failed) {
    this.target = target;
    this.report = report;
    this.failed = failed;
    this.name = `ringmaster ${target.reader}`;
    this.channel = null;
    this.waiting = null;
    this.leading = null;
    this.hiddenMilliseconds = 5_000; // a phone suspends hidden pages: another page must lead by then
    this.pulse = new Pulse(() => this.compete(true));
  }

  join() {
    this.leave();
    this.channel = new BroadcastChannel(this.name);
    this.channel.addEventListener("message", (event) => this.receive(event.data));
    this.channel.postMessage({ do: "ask state" });
    this.compete(false);
  }

  leave() {
    this.pulse.end();
    this.waiting?.abort();
    this.waiting = null;
    this.stopLeading();
    this.channel?.close();
    this.channel = null;
  }

  // Waits for the lock of the leader; takes it from a leader that sends no pulse.
  async compete(steal) {
    this.waiting?.abort();
    const waiting = this.waiting = new AbortController();
    this.pulse.beat();
    let lead = null;
    try {
      await navigator.locks.request(this.name, steal ? { steal } : { signal: waiting.signal }, () => {
        if (this.waiting !== waiting) return undefined;
        lead = this.lead();
        return lead.over;
      });
    } catch {
      // Aborted, or the lock was taken away; or the browser has locks but forbids them.
      if (lead === null && this.waiting === waiting) return this.giveUp();
    }
    if (this.waiting !== waiting) return undefined;
    if (lead !== null && this.leading === lead) this.stopLeading();
    return this.compete(false);
  }

  lead() {
    this.pulse.end();
    const leading = this.leading = { stream: new EventStream(this.target.url, (message) => this.broadcast(message)) };
    leading.over = new Promise((resolve) => { leading.resolve = resolve; });
    leading.beating = setInterval(() => this.channel?.postMessage({ pulse: true }), PULSE_MILLISECONDS);
    leading.stream.open();
    return leading;
  }

  stopLeading() {
    const leading = this.leading;
    this.leading = null;
    clearInterval(leading?.beating);
    leading?.stream.close();
    leading?.resolve();
  }

  giveUp() {
    this.leave();
    this.failed();
  }

  broadcast(message) {
    this.channel?.postMessage(message);
    this.forward(message);
  }

  receive(message) {
    if (this.leading === null) this.pulse.beat();
    if (message.do === "ask state") {
      if (this.leading !== null) this.channel.postMessage({ state: this.leading.stream.state });
    } else if (!message.pulse) this.forward(message);
  }

  forward(message) {
    if (concerns(message, this.target)) this.report(message);
  }
}

class OwnFeed {
  constructor(target, report) {
    this.target = target;
    this.report = report;
    this.stream = null;
    this.hiddenMilliseconds = 0; // a browser has six connections to a server, and the visible pages need them
  }

  join() {
    this.leave();
    this.stream = new EventStream(this.target.url, (message) => {
      if (concerns(message, this.target)) this.report(message);
    });
    this.stream.open();
  }

  leave() {
    this.stream?.close();
    this.stream = null;
  }
}

// The best feed this browser supports. One that cannot start, or dies, is replaced by the next best.
class Feed {
  constructor(target, report) {
    this.target = target;
    this.report = report;
    this.kinds = [];
    if ("SharedWorker" in window) this.kinds.push(WorkerFeed);
    if ("locks" in navigator && "BroadcastChannel" in window) this.kinds.push(LeaderFeed);
    this.kinds.push(OwnFeed);
    this.next();
  }

  join() {
    try {
      this.feed.join();
    } catch {
      this.fallBack(); // a browser may have shared workers but forbid them
    }
  }

  leave() {
    this.feed.leave();
  }

  get hiddenMilliseconds() {
    return this.feed.hiddenMilliseconds;
  }

  // With a worker a hidden page takes no connection from the others.
  get mayStayHidden() {
    return this.feed instanceof WorkerFeed;
  }

  next() {
    const Kind = this.kinds.shift();
    this.feed = new Kind(this.target, this.report, () => this.fallBack());
  }

  fallBack() {
    this.next();
    this.report({ state: "reconnecting" });
    this.join();
  }
}
