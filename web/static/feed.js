// How a page gets its events, one stream a browser whatever the number of its pages: from a shared worker; where there is none, from the
// page that leads, which the browser's locks choose; and where there are no locks either, by a stream of its own while it can be seen.
//
// A feed calls `told` with {state}, {changed, run}; `join` and `leave` may be called again and again.
"use strict";

// Without a pulse for this long whoever feeds this page is gone.
const PULSE_PATIENCE_MILLISECONDS = 20_000;

function concerns(message, place) {
  return !("run" in message) || message.run === null || message.run === place.run;
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
  constructor(place, told, failed) {
    this.place = place;
    this.told = told;
    this.failed = failed;
    this.port = null;
    this.silent = 0;
    this.hiddenMilliseconds = 30_000;
    this.pulse = new Pulse(() => this.miss());
  }

  join() {
    this.leave();
    const worker = new SharedWorker(this.place.script, { name: `ringmaster ${this.place.reader}` });
    worker.addEventListener("error", () => { this.leave(); this.failed(); });
    this.port = worker.port;
    this.port.addEventListener("message", (event) => this.hear(event.data));
    this.port.start();
    this.port.postMessage({ do: "join", url: this.place.url, run: this.place.run });
    this.pulse.beat();
  }

  leave() {
    this.pulse.end();
    this.port?.postMessage({ do: "leave" });
    this.port?.close();
    this.port = null;
  }

  hear(message) {
    this.silent = 0;
    this.pulse.beat();
    if (!message.pulse) this.told(message);
  }

  // A machine that slept has missed pulses too: the worker is asked once more.
  miss() {
    this.silent += 1;
    if (this.silent === 1) return this.join();
    this.leave();
    this.failed();
  }
}

class LeaderFeed {
  constructor(place, told, failed) {
    this.place = place;
    this.told = told;
    this.failed = failed;
    this.name = `ringmaster ${place.reader}`;
    this.channel = null;
    this.waiting = null;
    this.leading = null;
    this.hiddenMilliseconds = 5_000; // a phone puts hidden pages to sleep: another must lead by then
    this.pulse = new Pulse(() => this.campaign(true));
  }

  join() {
    this.leave();
    this.channel = new BroadcastChannel(this.name);
    this.channel.addEventListener("message", (event) => this.hear(event.data));
    this.channel.postMessage({ do: "greet" });
    this.campaign(false);
  }

  leave() {
    this.pulse.end();
    this.waiting?.abort();
    this.waiting = null;
    this.resign();
    this.channel?.close();
    this.channel = null;
  }

  // Waits to lead; a leader that has fallen silent is deposed.
  async campaign(steal) {
    this.waiting?.abort();
    const waiting = this.waiting = new AbortController();
    this.pulse.beat();
    let mine = null;
    try {
      await navigator.locks.request(this.name, steal ? { steal } : { signal: waiting.signal }, () => {
        if (this.waiting !== waiting) return undefined;
        mine = this.lead();
        return mine.over;
      });
    } catch {
      // Given up or deposed; or the browser has locks and forbids them.
      if (mine === null && this.waiting === waiting) return this.giveUp();
    }
    if (this.waiting !== waiting) return undefined;
    if (mine !== null && this.leading === mine) this.resign();
    return this.campaign(false);
  }

  lead() {
    this.pulse.end();
    const leading = this.leading = { stream: new EventStream(this.place.url, (message) => this.say(message)) };
    leading.over = new Promise((resolve) => { leading.resolve = resolve; });
    leading.beating = setInterval(() => this.channel?.postMessage({ pulse: true }), PULSE_MILLISECONDS);
    leading.stream.open();
    return leading;
  }

  resign() {
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

  say(message) {
    this.channel?.postMessage(message);
    this.pass(message);
  }

  hear(message) {
    if (this.leading === null) this.pulse.beat();
    if (message.do === "greet") {
      if (this.leading !== null) this.channel.postMessage({ state: this.leading.stream.state });
    } else if (!message.pulse) this.pass(message);
  }

  pass(message) {
    if (concerns(message, this.place)) this.told(message);
  }
}

class OwnFeed {
  constructor(place, told) {
    this.place = place;
    this.told = told;
    this.stream = null;
    this.hiddenMilliseconds = 0; // a browser has six connections for a server, and the pages that are seen need them
  }

  join() {
    this.leave();
    this.stream = new EventStream(this.place.url, (message) => {
      if (concerns(message, this.place)) this.told(message);
    });
    this.stream.open();
  }

  leave() {
    this.stream?.close();
    this.stream = null;
  }
}

// The best feed this browser has. One that cannot be started, or dies, is replaced by the next best.
class Feed {
  constructor(place, told) {
    this.place = place;
    this.told = told;
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
      this.fallBack(); // a browser may have shared workers and forbid them
    }
  }

  leave() {
    this.feed.leave();
  }

  get hiddenMilliseconds() {
    return this.feed.hiddenMilliseconds;
  }

  next() {
    const Kind = this.kinds.shift();
    this.feed = new Kind(this.place, this.told, () => this.fallBack());
  }

  fallBack() {
    this.next();
    this.told({ state: "reconnecting" });
    this.join();
  }
}
