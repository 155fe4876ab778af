/** The key to a chart of a forecast: its lines differ in their form as well as in their colour. */

import { element, svg } from "../parts/dom.js";

/** @param {number | null} level of the interval, such as 0.9 */
export function forecastLegend(level) {
  const sample = (mark, text) => element("span", {}, svg("svg", { class: "chart", viewBox: "0 0 36 12", "aria-hidden": "true" }, mark), text);
  const line = (kind) => svg("path", { class: `line ${kind}`, d: "M0 6H36" });
  return element(
    "div",
    { className: "legend" },
    sample(line("history"), "history"),
    sample(line("forecast"), "forecast"),
    ...(level ? [sample(svg("rect", { class: "interval", width: 36, height: 12 }), `${Math.round(100 * level)}% interval`)] : []),
  );
}
