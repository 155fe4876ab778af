/** A series with its forecast: axes with numbers, an interval, and values for the mouse, for touch and for the keyboard. */

import { svg } from "../parts/dom.js";
import { label, ticks } from "./ticks.js";

const MARGIN = { left: 56, right: 14, top: 12, bottom: 40 };

/**
 * @param {object} chart
 * @param {string} chart.name of the series
 * @param {number[]} chart.history
 * @param {number[]} chart.forecast
 * @param {{lower: number[], upper: number[]} | null} chart.interval
 * @param {number} chart.width in pixels of the page, so that text keeps its size
 * @param {(step: number) => void} chart.point told the step that is pointed at
 * @returns {{node: SVGElement, mark: (step: number) => void}}
 */
export function lineChart({ name, history, forecast, interval, width, point }) {
  const height = Math.round(Math.max(220, Math.min(340, width * 0.42)));
  const values = [...history, ...forecast];
  const place = scale(values, interval, width, height);
  const last = history.length - 1;
  const cursor = svg("g", { visibility: "hidden" });
  const node = svg(
    "svg",
    {
      viewBox: `0 0 ${width} ${height}`, class: "chart", tabindex: 0, role: "slider", "aria-label": `${name}: step`,
      "aria-valuemin": 0, "aria-valuemax": values.length - 1, "aria-valuenow": last,
    },
    ...axes(place, values.length, width, height),
    ...(interval ? [svg("path", { class: "interval", d: band(interval, last, history[last], place) })] : []),
    svg("path", { class: "line history", d: path(history, 0, place) }),
    svg("path", { class: "line forecast", d: path(forecast.length ? [history[last], ...forecast] : [], last, place) }),
    cursor,
  );

  function mark(step) {
    const x = place.x(step);
    cursor.setAttribute("visibility", "visible");
    cursor.replaceChildren(
      svg("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: height - MARGIN.bottom }),
      svg("circle", { class: "dot", cx: x, cy: place.y(values[step]), r: 5 }),
    );
    node.setAttribute("aria-valuenow", step);
    node.setAttribute("aria-valuetext", `step ${step}, ${values[step].toPrecision(4)}, ${step > last ? "forecast" : "history"}`);
  }

  listen(node, values.length, place, width, point);
  return { node, mark };
}

function scale(values, interval, width, height) {
  const all = interval ? [...values, ...interval.lower, ...interval.upper] : values;
  let [low, high] = [Math.min(...all), Math.max(...all)];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  [low, high] = [low - room, high + room];
  const across = width - MARGIN.left - MARGIN.right;
  const down = height - MARGIN.top - MARGIN.bottom;
  return {
    low, high, across,
    x: (step) => MARGIN.left + (step * across) / Math.max(1, values.length - 1),
    y: (value) => MARGIN.top + ((high - value) * down) / (high - low),
  };
}

/** A line through values, the first of them at this step. */
export function path(values, first, place) {
  return values.map((value, i) => `${i ? "L" : "M"}${place.x(first + i).toFixed(1)} ${place.y(value).toFixed(1)}`).join("");
}

/** The interval as an area. It begins as a point at the last step of the history, which is certain. */
export function band({ lower, upper }, last, value, place) {
  const corner = (height, i) => `${place.x(last + i).toFixed(1)} ${place.y(height).toFixed(1)}`;
  return `M${[...[value, ...upper].map(corner), ...[value, ...lower].map(corner).reverse()].join("L")}Z`;
}

function axes(place, count, width, height) {
  const bottom = height - MARGIN.bottom;
  const rows = ticks(place.low, place.high, 5);
  const columns = ticks(0, Math.max(1, count - 1), Math.min(10, Math.max(2, width / 90))).filter(Number.isInteger);
  return [
    ...rows.flatMap((value) => [
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: place.y(value), y2: place.y(value) }),
      svg("text", { x: MARGIN.left - 8, y: place.y(value) + 4, "text-anchor": "end" }, label(value, rows[1] - rows[0] || 1)),
    ]),
    ...columns.map((step) => svg("text", { x: place.x(step), y: bottom + 18, "text-anchor": "middle" }, String(step))),
    svg("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
    svg("text", { x: MARGIN.left + place.across / 2, y: height - 5, "text-anchor": "middle" }, "step"),
  ];
}

function listen(node, count, place, width, point) {
  const clamp = (step) => Math.max(0, Math.min(count - 1, step));
  const pointed = (event) => {
    const box = node.getBoundingClientRect();
    const x = ((event.clientX - box.left) * width) / box.width;
    point(clamp(Math.round(((x - MARGIN.left) * Math.max(1, count - 1)) / place.across)));
  };
  node.addEventListener("pointermove", pointed);
  node.addEventListener("pointerdown", pointed);
  node.addEventListener("keydown", (event) => {
    const now = Number(node.getAttribute("aria-valuenow"));
    const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 10, PageDown: now + 10, Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    point(clamp(to));
  });
}
