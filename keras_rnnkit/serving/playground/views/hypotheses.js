/** The texts that a beam found, one of which is chosen. */

import { element } from "../parts/dom.js";

/**
 * @param {import("../models/model.js").Hypothesis[]} hypotheses the best first
 * @param {(hypothesis: import("../models/model.js").Hypothesis) => void} choose
 */
export function hypothesisList(hypotheses, choose) {
  const buttons = hypotheses.map((hypothesis, i) => {
    const score = element("span", { className: "score", title: "log-probability" }, hypothesis.score.toFixed(2));
    const text = element("span", {}, hypothesis.text || "(an empty text)");
    return element(
      "button",
      { type: "button", className: "choice", "aria-pressed": String(i === 0), onclick: () => press(i) },
      element("span", { className: "quiet" }, `${i + 1}.`), text, score,
    );
  });

  function press(i) {
    buttons.forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
    choose(hypotheses[i]);
  }

  return element("ol", { className: "choices", "aria-label": "Hypotheses with their log-probabilities, the best first" },
    ...buttons.map((button) => element("li", {}, button)));
}
