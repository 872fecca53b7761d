// Downloads an export with its progress: the leads that have arrived, of those expected. page.js fetches this script with the first export.
"use strict";

const SHOWN_MILLISECONDS = 6_000;
const QUOTE = 0x22;
const LINE_END = 0x0a;

// Counts the rows of a CSV file as it arrives; a quoted cell may have several lines.
class RowCounter {
  constructor() {
    this.rows = -1; // the headings
    this.quoted = false;
  }

  add(piece) {
    for (const byte of piece) {
      if (byte === QUOTE) this.quoted = !this.quoted;
      else if (byte === LINE_END && !this.quoted) this.rows += 1;
    }
  }
}

// What is shown of an export, in a corner of the page.
class ExportState {
  constructor(total, stop) {
    document.querySelector(".toast")?.remove();
    this.element = document.getElementById("export-state").content.cloneNode(true).firstElementChild;
    this.text = this.element.querySelector("p");
    this.bar = this.element.querySelector("progress");
    this.total = total;
    this.numbers = new Intl.NumberFormat(document.documentElement.lang);
    this.element.querySelector("button").addEventListener("click", stop);
    document.body.append(this.element);
    this.text.textContent = this.element.dataset.preparing;
  }

  show(share, rows) {
    if (share !== null) this.bar.value = Math.min(share, 1);
    if (rows === null) return;
    const values = { rows: this.numbers.format(Math.min(rows, this.total)), total: this.numbers.format(this.total) };
    this.text.textContent = this.element.dataset.rows.replace("{rows}", values.rows).replace("{total}", values.total);
  }

  end(text) {
    this.bar.remove();
    this.element.querySelector("button").remove();
    this.text.textContent = text;
    setTimeout(() => this.element.remove(), SHOWN_MILLISECONDS);
  }
}

function nameIn(header) {
  const encoded = /filename\*=UTF-8''([^;]+)/.exec(header);
  return encoded ? decodeURIComponent(encoded[1]) : /filename="([^"]*)"/.exec(header)?.[1] ?? "export";
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), SHOWN_MILLISECONDS);
}

async function piecesOf(response, state) {
  const bytes = Number(response.headers.get("Content-Length"));
  const counter = response.headers.get("Content-Type").startsWith("text/csv") ? new RowCounter() : null;
  const pieces = [];
  let received = 0;
  const reader = response.body.getReader();
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    pieces.push(value);
    received += value.length;
    counter?.add(value);
    if (counter) state.show(counter.rows / state.total, counter.rows);
    else state.show(bytes ? received / bytes : null, null);
  }
  return pieces;
}

async function exportLeads(request, total) {
  const aborting = new AbortController();
  const state = new ExportState(total, () => aborting.abort());
  try {
    const response = await fetch(request, { signal: aborting.signal });
    if (!response.ok) {
      const said = response.headers.get("Content-Type")?.startsWith("application/json") ? (await response.json()).error : null;
      return state.end(said ?? state.element.dataset.failed);
    }
    const name = nameIn(response.headers.get("Content-Disposition") ?? "");
    save(new Blob(await piecesOf(response, state), { type: response.headers.get("Content-Type") }), name);
    state.end(state.element.dataset.saved.replace("{name}", name));
  } catch {
    if (aborting.signal.aborted) state.element.remove();
    else state.end(state.element.dataset.failed);
  }
}
