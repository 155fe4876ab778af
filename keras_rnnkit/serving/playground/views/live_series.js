/** A live series: the pointer's height is the next value, and the forecast is drawn ahead of it. */

import { announce, problemBox } from "../parts/announce.js";
import { element, field, panel, svg } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { forecastLegend } from "../charts/forecast_legend.js";
import { band, path } from "../charts/line_chart.js";

const [WIDTH, HEIGHT] = [640, 260];
const [PAST, AHEAD] = [60, 20];
const PACE = 60; // milliseconds between two points while the pointer is down
const STEPS = 20; // of a key, over the whole height

export class LiveSeriesPanel {
  /**
   * @param {import("../models/model.js").Model} model
   * @param {() => [number, number]} range the lowest and the highest value
   */
  constructor(model, range) {
    this.model = model;
    this.range = range;
    this.level = 0.5;
    this.timer = 0;
    /** @type {Promise<import("../models/model.js").LiveSeries> | null} */
    this.series = null;
    /** @type {number[][]} */
    this.points = [];
    this.sent = 0;
    /** @type {import("../models/model.js").Forecast | null} */
    this.forecast = null;
    this.channels = model.description.inputs[0].shape.at(-1);
    this.channel = element("select", {}, ...Array.from({ length: this.channels }, (_, i) => new Option(`Column ${i + 1}`, String(i))));
    this.drawing = svg("g");
    this.pad = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "chart pad", tabindex: 0, role: "slider", "aria-orientation": "vertical",
      "aria-label": "The next value. Press and move up and down, or use the arrow keys" }, this.drawing);
    this.readout = element("p", { className: "readout" }, "The line runs on while you press.");
    const problem = problemBox();
    this.runner = new Runner(problem, []);
    this.listen();
    const wipe = element("button", { type: "button", onclick: () => this.begin() }, "Begin again");
    this.node = panel(
      "Live series",
      element("p", { className: "quiet" }, "Press on the chart and move up and down, or use the arrow keys: every point goes to the model at once."),
      this.channels > 1 ? field("Column to draw", this.channel) : null,
      forecastLegend(model.description.interval), element("figure", {}, this.pad), this.readout,
      element("div", { className: "row" }, wipe), problem.node,
    );
    this.begin();
  }

  /** An empty series, and a model in its first state. */
  begin() {
    this.runner.stop();
    this.series?.then((series) => series.close(), () => {});
    Object.assign(this, { points: [], sent: 0, series: null, forecast: null });
    this.draw();
  }

  listen() {
    this.pad.addEventListener("pointerdown", (event) => {
      if (event.isTrusted) this.pad.setPointerCapture(event.pointerId);
      this.height(event);
      clearInterval(this.timer);
      this.timer = setInterval(() => this.add(), PACE);
      this.add();
    });
    this.pad.addEventListener("pointermove", (event) => this.height(event));
    for (const kind of ["pointerup", "pointercancel", "blur"]) this.pad.addEventListener(kind, () => this.pause());
    this.pad.addEventListener("keydown", (event) => {
      const step = { ArrowUp: 1, ArrowDown: -1, ArrowRight: 0 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.level = Math.max(0, Math.min(1, this.level + step / STEPS));
      this.add();
      this.pause();
    });
  }

  height(event) {
    const box = this.pad.getBoundingClientRect();
    this.level = Math.max(0, Math.min(1, 1 - (event.clientY - box.top) / box.height));
  }

  pause() {
    clearInterval(this.timer);
    if (this.points.length) announce(this.readout.textContent);
  }

  add() {
    const [low, high] = this.range();
    const row = [...(this.points.at(-1) ?? Array(this.channels).fill(0))];
    row[Number(this.channel.value) || 0] = low + this.level * (high - low);
    this.points.push(row);
    this.draw();
    return this.runner.run((signal) => this.send(signal));
  }

  /** Every point that was not read yet goes to the model, in one run where several came meanwhile. */
  async send(signal) {
    this.series ??= this.model.live();
    const series = await this.series;
    while (this.sent < this.points.length && !signal.aborted) {
      const fresh = this.points.slice(this.sent);
      this.sent = this.points.length;
      const forecast = await series.push(fresh, AHEAD);
      if (signal.aborted) return;
      this.forecast = forecast;
      this.draw();
    }
  }

  draw() {
    const channel = Number(this.channel.value) || 0;
    const column = (rows) => rows.map((row) => row[channel]);
    const history = column(this.points).slice(-PAST);
    const ahead = this.forecast ? column(this.forecast.values) : [];
    const interval = this.forecast?.interval && { lower: column(this.forecast.interval.lower), upper: column(this.forecast.interval.upper) };
    const place = this.place(this.range());
    const last = history.length - 1;
    this.drawing.replaceChildren(
      ...(interval && history.length ? [svg("path", { class: "interval", d: band(interval, last, history[last], place) })] : []),
      svg("path", { class: "line history", d: path(history, 0, place) }),
      svg("path", { class: "line forecast", d: history.length ? path([history[last], ...ahead], last, place) : "" }),
      ...(history.length ? [svg("circle", { class: "dot", cx: place.x(last), cy: place.y(history[last]), r: 6 })] : []),
    );
    this.tell(history[last], ahead[0]);
  }

  tell(value, next) {
    const [low, high] = this.range();
    const now = value ?? (low + high) / 2;
    this.pad.setAttribute("aria-valuemin", String(low));
    this.pad.setAttribute("aria-valuemax", String(high));
    this.pad.setAttribute("aria-valuenow", String(now));
    this.pad.setAttribute("aria-valuetext", now.toPrecision(3));
    if (value === undefined) this.readout.textContent = "The line runs on while you press.";
    else this.readout.textContent = `Step ${this.points.length}: ${value.toPrecision(3)}${next === undefined ? "" : `. Forecast of the next one: ${next.toPrecision(3)}`}.`;
  }

  place([low, high]) {
    const room = (high - low) * 0.15;
    const x = (step) => 8 + (step * (WIDTH - 16)) / (PAST + AHEAD);
    return { x, y: (value) => Math.max(2, Math.min(HEIGHT - 2, HEIGHT - ((value - low + room) * HEIGHT) / (high - low + 2 * room))) };
  }

  stop() {
    clearInterval(this.timer);
    this.begin();
  }
}
