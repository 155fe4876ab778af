/** Series: numbers from the clipboard or a file, and how the model says that they go on. */

import { announce, problemBox } from "../parts/announce.js";
import { parseSeries } from "../parts/csv.js";
import { element, field, numberInput, numberOf } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { submitOnControlEnter } from "../parts/shortcut.js";
import { forecastPanel } from "./forecast_panel.js";
import { LiveSeriesPanel } from "./live_series.js";

const HINTS = {
  one: "One series of numbers, in one line or one number in a line; a header is allowed.",
  more: (channels) => `A row for each step, ${channels} numbers in a row; a header is allowed.`,
};

export class SeriesView {
  /** @param {import("../models/model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.channels = model.description.inputs[0].shape.at(-1);
    this.numbers = element("textarea", { rows: 5, spellcheck: false, className: "mono", value: example(this.channels) });
    this.file = element("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv,text/plain", onchange: () => this.load() });
    this.steps = numberInput(40, 1, 2000);
    this.results = element("div", { hidden: true });
    this.form = this.fields();
    this.live = model.live ? new LiveSeriesPanel(model, () => this.range()) : null;
    this.node = element("div", { className: "view" }, this.form, this.results, this.live?.node ?? null);
  }

  fields() {
    const problem = problemBox();
    const forecast = element("button", { type: "submit", className: "primary" }, "Forecast ", element("kbd", {}, "Ctrl+Enter"));
    const stop = element("button", { type: "button" }, "Stop");
    this.runner = new Runner(problem, [forecast], stop);
    const form = element(
      "form", { className: "panel" },
      field("Comma-separated values", this.numbers, this.channels > 1 ? HINTS.more(this.channels) : HINTS.one),
      element("div", { className: "fields wide" }, field("File", this.file), field("Steps to forecast", this.steps)),
      element("div", { className: "row" }, forecast, stop),
      problem.node,
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.runner.run((signal) => this.forecast(signal));
    });
    submitOnControlEnter(form);
    return form;
  }

  async load() {
    if (!this.file.files[0]) return;
    this.numbers.value = await this.file.files[0].text();
    this.form.requestSubmit();
  }

  async forecast(signal) {
    this.results.hidden = true;
    const { names, columns } = chosenColumns(parseSeries(this.numbers.value), this.channels);
    const series = columns[0].map((_, step) => columns.map((column) => column[step]));
    const forecast = await this.model.forecast(series, numberOf(this.steps, "Steps to forecast"), { signal });
    this.results.hidden = false;
    this.results.replaceChildren(forecastPanel(names, columns, forecast, this.results.clientWidth));
    announce(`The forecast has ${forecast.values.length} steps.`);
  }

  /** @returns {[number, number]} the lowest and the highest of the numbers in the field; -1 and 1 where there are none */
  range() {
    try {
      const numbers = parseSeries(this.numbers.value).columns.slice(0, this.channels).flat();
      const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
      return low < high ? [low, high] : [low - 1, high + 1];
    } catch {
      return [-1, 1];
    }
  }

  stop() {
    this.runner.stop();
    this.live?.stop();
  }
}

/** As many columns as the model reads; the first ones of a table that has more. */
function chosenColumns({ names, columns }, channels) {
  if (columns.length < channels) {
    throw new Error(`The model reads ${channels} numbers at each step. Received: ${columns.length} column(s) of numbers.`);
  }
  return { names: names.slice(0, channels), columns: columns.slice(0, channels) };
}

/** Waves that any series model can continue, more or less. */
function example(channels) {
  const wave = (step, channel) => (Math.sin(step / (5 + channel)) + 0.3 * Math.sin(step / 2 + channel)).toFixed(3);
  const rows = Array.from({ length: 90 }, (_, step) => Array.from({ length: channels }, (_, channel) => wave(step, channel)));
  return channels === 1 ? rows.join(", ") : rows.map((row) => row.join(", ")).join("\n");
}
