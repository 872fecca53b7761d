// Tells when a campaign ends by a notification of the system, if the reader has asked for it in this browser; live.js fetches the results.
"use strict";

const NOTIFY_KEY = "notify of the end";

class EndNotifier {
  constructor(button, answer) {
    this.button = button;
    this.answer = answer;
    button.addEventListener("click", () => this.toggle());
    addEventListener("storage", () => this.show());
    document.addEventListener("fragment", () => this.notify());
    this.told = false;
    this.show();
    button.hidden = false;
  }

  // The choice is kept by the browser; without storage there is none.
  get chosen() {
    try {
      return localStorage.getItem(NOTIFY_KEY) === "on" && Notification.permission === "granted";
    } catch {
      return false;
    }
  }

  async toggle() {
    const asked = !this.chosen;
    const allowed = asked && (await Notification.requestPermission()) === "granted";
    try {
      if (allowed) localStorage.setItem(NOTIFY_KEY, "on");
      else localStorage.removeItem(NOTIFY_KEY);
    } catch {
      // Then it stays off.
    }
    this.answer.textContent = asked && !this.chosen ? this.button.dataset.refused : "";
    this.show();
  }

  show() {
    this.button.setAttribute("aria-pressed", String(this.chosen));
    document.documentElement.dataset.notifies = this.chosen ? "yes" : "no";
  }

  notify() {
    const results = document.querySelector("[data-over-with]");
    if (!results || this.told) return;
    this.told = true;
    if (!this.chosen) return;
    const name = document.querySelector("h1").textContent.trim();
    try {
      const note = new Notification(name, { body: results.dataset.overWith, tag: location.pathname, lang: document.documentElement.lang, dir: document.documentElement.dir });
      note.addEventListener("click", () => { window.focus(); note.close(); });
    } catch {
      // Some browsers of phones have the interface, and notify only from a service worker.
    }
  }
}

// Browsers have notifications only over https, and on this machine.
const notifyButton = document.querySelector("[data-notify]");
if (notifyButton && isSecureContext && "Notification" in window) new EndNotifier(notifyButton, document.getElementById("notify-answer"));
