/** A forecast: a chart for each channel, one cursor over all of them, and the values under it. */

import { copyButton } from "../parts/copy.js";
import { element, panel } from "../parts/dom.js";
import { forecastLegend } from "../charts/forecast_legend.js";
import { lineChart } from "../charts/line_chart.js";

const PADDING = 50; // of the panel, left and right

/**
 * @param {string[]} names of the channels
 * @param {number[][]} columns the history of each
 * @param {import("../models/model.js").Forecast} forecast
 * @param {number} room width in pixels
 */
export function forecastPanel(names, columns, { values, interval }, room) {
  const width = Math.max(280, room - PADDING);
  const readout = element("p", { className: "readout", "aria-live": "polite" }, "Point at a step, or go to one with the arrow keys, to read its values.");
  const column = (rows, channel) => rows.map((row) => row[channel]);
  const bounds = (channel) => interval && { lower: column(interval.lower, channel), upper: column(interval.upper, channel) };

  function point(step) {
    for (const chart of charts) chart.mark(step);
    readout.replaceChildren(...valuesAt(step, names, columns, values, interval));
  }

  const charts = names.map((name, channel) =>
    lineChart({ name, history: columns[channel], forecast: column(values, channel), interval: bounds(channel), width, point }));
  return panel(
    "Forecast",
    forecastLegend(interval?.level ?? null),
    ...charts.map(({ node }, i) => element("figure", {}, names.length > 1 ? element("figcaption", { className: "quiet" }, names[i]) : null, node)),
    readout,
    element("div", { className: "row" }, copyButton(() => csvText(names, values, interval), "Copy forecast as CSV")),
  );
}

/** The forecast as a table, with two columns more for each channel where there is an interval. */
function csvText(names, values, interval) {
  const bounds = interval ? [["lower", interval.lower], ["upper", interval.upper]] : [];
  const header = [...names, ...bounds.flatMap(([side]) => names.map((name) => `${name} ${side}`))];
  const rows = values.map((row, step) => [...row, ...bounds.flatMap(([, table]) => table[step])]);
  return [header, ...rows].map((row) => row.join(",")).join("\n");
}

/** The values of all channels at a step, as the content of the readout. */
function valuesAt(step, names, columns, values, interval) {
  const past = columns[0].length;
  const row = step < past ? columns.map((history) => history[step]) : values[step - past];
  const label = (i) => (names.length > 1 ? `${i ? ", " : ""}${names[i]} ` : "");
  const numbers = row.flatMap((value, i) => [label(i), element("b", {}, value.toPrecision(4))]);
  const range = interval && step >= past ? ` (${rangeText(interval, step - past)})` : "";
  return [`Step ${step}, ${step < past ? "history" : "forecast"}: `, ...numbers, range];
}

function rangeText({ level, lower, upper }, step) {
  const bounds = lower[step].map((low, i) => `${low.toPrecision(3)} and ${upper[step][i].toPrecision(3)}`);
  return `${Math.round(100 * level)}% between ${bounds.join("; ")}`;
}
