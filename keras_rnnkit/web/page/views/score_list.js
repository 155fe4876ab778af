/** The probabilities of labels as bars, the likeliest first. */

import { labelName } from "../models/model.js";
import { element } from "../parts/dom.js";

const SHOWN = 5;

/**
 * @param {ArrayLike<number>} scores of each label
 * @param {string[] | null} [labels] their names
 */
export function scoreList(scores, labels = null) {
  const order = ranked(scores).slice(0, SHOWN);
  const row = (label) =>
    element(
      "tr", {},
      element("th", { scope: "row" }, labelName(labels, label)),
      element("td", {}, percent(scores[label]), element("meter", { min: 0, max: 1, value: scores[label], "aria-label": labelName(labels, label) })),
    );
  return element("table", { className: "numbers" }, ...order.map(row));
}

/** Labels, the likeliest first. */
export const ranked = (scores) => [...Array(scores.length).keys()].sort((a, b) => scores[b] - scores[a]);

export const percent = (share) => `${(100 * share).toFixed(1)}%`;

/** The scores of the last step of an output, one for each label. One number alone is the score of label 1 of two. */
export function lastScores({ shape, data }) {
  const last = data.slice(-shape.at(-1));
  return last.length === 1 ? [1 - last[0], last[0]] : last;
}
