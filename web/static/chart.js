// The chart of a run, large, in a dialog: a part of it is looked at by dragging, or with the buttons. page.js fetches this script when the
// chart is first opened.
"use strict";

const PLOT_HEIGHT = 320;
const LEAST_COLUMNS = 5;
const DAY_SECONDS = 86_400;

class CloserChart {
  constructor(dialog, { at, minutes, series }) {
    this.dialog = dialog;
    this.at = at;
    this.series = series;
    this.width = minutes * 60;
    this.first = at[0];
    this.last = at[at.length - 1] + this.width;
    this.place = dialog.querySelector(".plot");
    this.backwards = document.documentElement.dir === "rtl";
    const language = document.documentElement.lang;
    const zone = dialog.dataset.zone;
    this.clock = new Intl.DateTimeFormat(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
    this.day = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", timeZone: zone });
    this.moment = new Intl.DateTimeFormat(language, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone });
    this.numbers = new Intl.NumberFormat(language);
    this.plot = new uPlot(this.options(), [at, ...this.stacked()], this.place);
    // The legend has the series as the bar has them, the first first.
    const rows = [...this.place.querySelectorAll(".u-series")];
    for (const [n, row] of rows.entries()) row.style.order = n === 0 ? 0 : rows.length - n;
    this.resizing = new ResizeObserver(() => this.plot.setSize({ width: this.place.clientWidth, height: PLOT_HEIGHT }));
    this.resizing.observe(this.place);
    this.say();
  }

  // Each series with all below it, the highest first: each is drawn over the one before.
  stacked() {
    const below = this.at.map(() => 0);
    return this.series.map((one) => one.calls.map((calls, n) => (below[n] += calls))).reverse();
  }

  options() {
    const style = getComputedStyle(this.dialog);
    const [ink, line] = [style.getPropertyValue("--muted"), style.getPropertyValue("--line")];
    const axis = { stroke: ink, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: `12px ${style.fontFamily}` };
    return {
      width: this.place.clientWidth,
      height: PLOT_HEIGHT,
      cursor: { y: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), this.dialog.dataset.zone),
      scales: {
        x: { range: (_, from, until) => this.within(from ?? this.first, until ?? this.last), dir: this.backwards ? -1 : 1 },
        y: { range: (_, least, most) => [0, Math.max(most ?? 1, 1)] },
      },
      axes: [
        { ...axis, values: (_, moments, _axis, _space, step) => moments.map((seconds) => (step >= DAY_SECONDS ? this.day : this.clock).format(seconds * 1000)) },
        { ...axis, side: this.backwards ? 1 : 3, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], values: (_, counts) => counts.map((count) => this.numbers.format(count)) },
      ],
      series: [
        { label: this.dialog.dataset.time, value: (_, seconds) => (seconds === null ? "" : this.moment.format(seconds * 1000)) },
        ...[...this.series].reverse().map((one) => ({
          label: one.label,
          fill: this.colour(one.key),
          width: 0,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.8, 48], align: 1 }),
          value: (_plot, _stacked, _index, n) => (n === null ? "" : this.numbers.format(one.calls[n])),
        })),
      ],
      hooks: { setScale: [(_, scale) => { if (scale === "x" && this.plot) this.say(); }] },
    };
  }

  colour(key) {
    const swatch = document.createElement("span");
    swatch.className = `fill-${key}`;
    this.dialog.append(swatch);
    const colour = getComputedStyle(swatch).getPropertyValue("--tone");
    swatch.remove();
    return colour;
  }

  // At least a few columns, and no more than there are; the last one ends after its moment, which is all that uPlot knows of it.
  within(from, until) {
    if (from <= this.first && until >= this.last - this.width) return [this.first, this.last];
    const length = Math.min(Math.max(until - from, LEAST_COLUMNS * this.width), this.last - this.first);
    const start = Math.min(Math.max((from + until - length) / 2, this.first), this.last - length);
    return [start, start + length];
  }

  move(by) {
    const { min, max } = this.plot.scales.x;
    const length = max - min;
    const [from, until] = {
      in: [min + length / 4, max - length / 4],
      out: [min - length / 2, max + length / 2],
      earlier: [min - length / 2, max - length / 2],
      later: [min + length / 2, max + length / 2],
      all: [this.first, this.last],
    }[by];
    this.plot.setScale("x", { min: from, max: until });
  }

  // What is in sight, in words.
  say() {
    const { min, max } = this.plot.scales.x;
    const sum = (series) => series.reduce((all, one) => all + one.calls.reduce((some, calls, n) => some + (this.at[n] + this.width > min && this.at[n] < max ? calls : 0), 0), 0);
    const values = {
      from: this.moment.format(min * 1000), until: this.moment.format(max * 1000),
      calls: this.numbers.format(sum(this.series)), people: this.numbers.format(sum(this.series.filter((one) => one.key === "person"))),
    };
    const text = this.dialog.dataset.range.replace(/{(\w+)}/g, (_, name) => values[name]);
    this.dialog.querySelector("[role=status]").textContent = text;
  }

  close() {
    this.resizing.disconnect();
    this.plot.destroy();
  }
}

async function lookCloser(button) {
  const response = await fetch(button.dataset.zoom, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(FETCH_MILLISECONDS) });
  if (!response.ok) throw new Error(String(response.status));
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const dialog = document.adoptNode(page.querySelector("dialog"));
  let chart = null;
  dialog.addEventListener("close", () => { chart?.close(); dialog.remove(); document.getElementById(button.id)?.focus(); });
  dialog.addEventListener("click", (event) => { const by = event.target.dataset?.by; if (by) chart?.move(by); });
  document.body.append(dialog);
  dialog.showModal();
  const data = JSON.parse(dialog.querySelector(".plot").dataset.chart);
  if (data.at.length) chart = new CloserChart(dialog, data);
}
