// Enhancements; every page works without them.
"use strict";

// A link that leads to a page with a question asks it in a dialog instead: the form of that page.
async function ask(link) {
  windows?.postMessage("yield connections");
  const response = await fetch(link.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(REACH_MILLISECONDS) });
  const form = response.ok && new DOMParser().parseFromString(await response.text(), "text/html").querySelector("form.confirm");
  if (!form) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  form.querySelector("h1").id ||= "ask-title";
  dialog.setAttribute("aria-labelledby", form.querySelector("h1").id);
  dialog.append(document.adoptNode(form));
  dialog.addEventListener("close", () => { dialog.remove(); document.getElementById(link.id)?.focus(); });
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-ask]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    ask(link).catch(() => showNotSent());
  } else if (event.target.closest?.("dialog [data-close]")) {
    event.preventDefault();
    event.target.closest("dialog").close();
  } else if (event.target.nodeName === "DIALOG") {
    event.target.close(); // a click on the backdrop
  }
});

// The key / goes to the search of the page, as on many sites.
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input:not([type=checkbox], [type=radio]), textarea, select")) return;
  const search = document.querySelector("[data-slash]");
  if (!search) return;
  event.preventDefault();
  search.focus();
  search.select();
});

// When a form is sent, in any window, the live pages free their connections for it. Signing out closes the event stream.
const windows = "BroadcastChannel" in window ? new BroadcastChannel("ringmaster") : null;
document.addEventListener("submit", (event) => {
  windows?.postMessage(event.target.getAttribute("action")?.endsWith("/logout") ? "sign-out" : "yield connections");
});

const REACH_MILLISECONDS = 5_000;

// As far as this page knows.
function connected() {
  return navigator.onLine && document.documentElement.dataset.connection !== "reconnecting";
}

async function reachable() {
  try {
    return (await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(REACH_MILLISECONDS) })).ok;
  } catch {
    return false;
  }
}

function showNotSent() {
  document.querySelector("#notice")?.remove();
  const note = document.getElementById("not-sent").content.cloneNode(true).firstElementChild;
  note.id = "notice";
  document.querySelector("main").prepend(note);
  note.scrollIntoView({ block: "nearest" });
}

// Forms that are sent although the browser says that it is offline: the server has answered, on this machine or in its network.
const reached = new WeakSet();

// A form is sent once: the second click of a double click is ignored. Without a connection the browser would replace the page by its own
// error page, and what was typed would be lost: the page stays, and says that nothing was sent.
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post" || event.defaultPrevented) return;
  // A download leaves the page as it is: its form can be sent again.
  if (event.submitter?.dataset.download !== undefined && connected()) return;
  if (form.dataset.sent === "yes") return event.preventDefault();
  const submitter = event.submitter;
  submitter?.setAttribute("aria-disabled", "true");
  form.dataset.sent = "yes";
  if (connected() || reached.delete(form)) return;
  event.preventDefault();
  if (await reachable()) {
    reached.add(form);
    delete form.dataset.sent;
    document.documentElement.dataset.connection = "live";
    return form.requestSubmit(submitter);
  }
  delete form.dataset.sent;
  submitter?.removeAttribute("aria-disabled");
  form.closest("dialog")?.close();
  showNotSent();
});

// A menu closes when something else is clicked, or with Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll(".account details[open], .drop[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector(".account details[open], .drop[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    for (const button of form.querySelectorAll("[aria-disabled]")) button.removeAttribute("aria-disabled");
  }
});

document.addEventListener("click", (event) => { if (event.target.closest?.("[data-print]")) print(); });

// Scripts and styles that few readers need are fetched when they are, at the addresses in data-NAME of the template "later"; after a failure
// they are asked for again.
const later = new Map();

function fetchLater(name) {
  const address = document.getElementById("later").dataset[name];
  const element = address.includes(".css") ? Object.assign(document.createElement("link"), { rel: "stylesheet", href: address }) : Object.assign(document.createElement("script"), { src: address });
  if (!later.has(name)) {
    later.set(name, new Promise((resolve, reject) => {
      element.addEventListener("load", resolve);
      element.addEventListener("error", () => { later.delete(name); reject(new Error(address)); });
      document.head.append(element);
    }));
  }
  return later.get(name);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-zoom]");
  if (button) Promise.all(["chart", "plot", "plotStyle", "style"].map(fetchLater)).then(() => lookCloser(button)).catch(showNotSent);
});

// An export shows its progress. It is kept in memory until it is whole: a larger one is left to the browser.
const MOST_LEADS = 200_000;

function fetchExport() {
  return Promise.all([fetchLater("export"), fetchLater("style")]);
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[data-download]");
  const total = Number(link?.dataset.download);
  if (!link || total > MOST_LEADS || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  fetchExport().then(() => exportLeads(new Request(link.href), total), showNotSent);
});

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (button?.dataset.download === undefined || event.defaultPrevented) return;
  const form = event.target;
  const selected = form.querySelectorAll("input[type=checkbox]:checked").length;
  const fields = new FormData(form);
  const total = fields.get("scope") === "all" ? Number(button.dataset.download) : selected;
  // Without a selection the server says so on the page.
  if (total === 0 || total > MOST_LEADS) return;
  event.preventDefault();
  const request = new Request(button.formAction, { method: "POST", body: new URLSearchParams(fields) });
  fetchExport().then(() => exportLeads(request, total), showNotSent);
});

// A filter takes effect when it is chosen; its button is for browsers without scripts.
for (const select of document.querySelectorAll("select[data-send]")) {
  select.addEventListener("change", () => select.form.requestSubmit());
}

// If fetching a filtered list fails, follow the link instead.
document.addEventListener("htmx:error", (event) => {
  const link = event.target.closest?.("a[href]");
  if (link) location.assign(link.href);
});

// On a phone a menu scrolls sideways: the page that is open is in sight.
for (const here of document.querySelectorAll(".menu [aria-current], .side [aria-current]")) {
  const [place, bar] = [here.getBoundingClientRect(), here.parentElement.getBoundingClientRect()];
  here.parentElement.scrollBy(place.left + place.width / 2 - bar.left - bar.width / 2, 0);
}

document.querySelector("[data-focus]")?.focus();
