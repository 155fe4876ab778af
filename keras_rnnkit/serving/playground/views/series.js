/** Series: numbers from the clipboard or a file, and how the model says that they go on. */

import { announce, problemBox } from "../parts/announce.js";
import { parseSeries } from "../parts/csv.js";
import { element, field, numberInput, numberOf, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { copyButton } from "../parts/copy.js";
import { lineChart } from "../charts/line_chart.js";
import { forecastLegend } from "../charts/forecast_legend.js";

/** @param {import("../models/model.js").Model} model */
export function seriesView(model) {
  const channels = model.description.inputs[0].shape.at(-1);
  const problem = problemBox();
  const numbers = element("textarea", { rows: 5, spellcheck: false, className: "mono", value: example(channels) });
  const file = element("input", { type: "file", accept: ".csv,.tsv,.txt,text/csv,text/plain", onchange: load });
  const steps = numberInput(40, 1, 2000);
  const forecast = element("button", { type: "submit", className: "primary" }, "Forecast ", element("kbd", {}, "Ctrl+Enter"));
  const stop = element("button", { type: "button" }, "Stop");
  const results = element("div", { hidden: true });
  const runner = new Runner(problem, [forecast], stop);

  const form = element(
    "form",
    { className: "panel", onsubmit: (event) => (event.preventDefault(), runner.run(start)) },
    field("Comma-separated values", numbers, channels > 1 ? `A row for each step, ${channels} numbers in a row; a header is allowed.` : "One series of numbers, in one line or one number in a line; a header is allowed."),
    element("div", { className: "fields wide" }, field("File", file), field("Steps to forecast", steps)),
    element("div", { className: "row" }, forecast, stop),
    problem.node,
  );
  numbers.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });

  async function load() {
    if (!file.files[0]) return;
    numbers.value = await file.files[0].text();
    form.requestSubmit();
  }

  async function start(signal) {
    results.hidden = true;
    const { names, columns } = chosenColumns(parseSeries(numbers.value), channels);
    const series = columns[0].map((_, step) => columns.map((column) => column[step]));
    const answer = await model.forecast(series, numberOf(steps, "Steps to forecast"), { signal });
    results.hidden = false;
    results.replaceChildren(resultPanel(names, columns, answer, results.clientWidth));
    announce(`The forecast has ${answer.values.length} steps.`);
  }

  return { node: element("div", { className: "view" }, form, results), stop: () => runner.stop() };
}

/** As many columns as the model reads; the first ones of a table that has more. */
function chosenColumns({ names, columns }, channels) {
  if (columns.length < channels) {
    throw new Error(`The model reads ${channels} numbers at each step. Received: ${columns.length} column(s) of numbers.`);
  }
  return { names: names.slice(0, channels), columns: columns.slice(0, channels) };
}

function resultPanel(names, columns, { values, interval }, room) {
  const width = Math.max(280, room - 50);
  const readout = element("p", { className: "readout", "aria-live": "polite" }, "Point at a step, or go to one with the arrow keys, to read its values.");
  const column = (rows, channel) => rows.map((row) => row[channel]);
  const bounds = (channel) => interval && { lower: column(interval.lower, channel), upper: column(interval.upper, channel) };
  const charts = names.map((name, channel) =>
    lineChart({ name, history: columns[channel], forecast: column(values, channel), interval: bounds(channel), width, point }));

  function point(step) {
    for (const chart of charts) chart.mark(step);
    const past = columns[0].length;
    const row = step < past ? columns.map((history) => history[step]) : values[step - past];
    const named = row.flatMap((value, i) => [names.length > 1 ? `${i ? ", " : ""}${names[i]} ` : "", element("b", {}, value.toPrecision(4))]);
    const range = interval && step >= past ? ` (${rangeText(interval, step - past)})` : "";
    readout.replaceChildren(`Step ${step}, ${step < past ? "history" : "forecast"}: `, ...named, range);
  }

  const csv = () => [names.join(","), ...values.map((row) => row.join(","))].join("\n");
  return panel(
    "Forecast",
    forecastLegend(interval?.level ?? null),
    ...charts.map((chart, i) => element("figure", {}, names.length > 1 ? element("figcaption", { className: "quiet" }, names[i]) : null, chart.node)),
    readout,
    element("div", { className: "row" }, copyButton(csv, "Copy forecast as CSV")),
  );
}

function rangeText({ level, lower, upper }, step) {
  const bounds = lower[step].map((low, i) => `${low.toPrecision(3)} to ${upper[step][i].toPrecision(3)}`);
  return `${Math.round(100 * level)}% between ${bounds.join(", ")}`;
}

/** Waves that any series model can continue, more or less. */
function example(channels) {
  const wave = (step, channel) => (Math.sin(step / (5 + channel)) + 0.3 * Math.sin(step / 2 + channel)).toFixed(3);
  const rows = Array.from({ length: 90 }, (_, step) => Array.from({ length: channels }, (_, channel) => wave(step, channel)));
  return channels === 1 ? rows.join(", ") : rows.map((row) => row.join(", ")).join("\n");
}
