/** Fields for how tokens are chosen. */

import { element, field, numberInput, numberOf } from "../parts/dom.js";

/** @type {Record<string, {label: string, bounds: any, remark?: string}>} */
const FIELDS = {
  max_tokens: { label: "Tokens", bounds: [200, 1, 2000] },
  temperature: { label: "Temperature", bounds: [0.8, 0, 5, 0.05], remark: "0 for the likeliest" },
  top_k: { label: "Top-k", bounds: [0, 0, 1000], remark: "0 for all" },
  top_p: { label: "Top-p", bounds: [1, 0.05, 1, 0.05], remark: "1 for all" },
  seed: { label: "Seed", bounds: [0, 0, 2 ** 31 - 1] },
  beam: { label: "Beam", bounds: [1, 1, 16], remark: "1 to sample" },
};

/** @returns {{node: HTMLElement, options: () => Record<string, number>}} an error of `options` names a field that is wrong */
export function samplingFields() {
  const inputs = Object.fromEntries(Object.entries(FIELDS).map(([name, { bounds }]) => [name, numberInput(...bounds)]));
  const labelled = (name) => field(FIELDS[name].label, inputs[name], FIELDS[name].remark);
  inputs.beam.addEventListener("input", () => {
    // A beam searches for the likeliest text, so nothing is drawn at random.
    for (const name of ["temperature", "top_k", "top_p", "seed"]) inputs[name].disabled = inputs.beam.valueAsNumber > 1;
  });
  return {
    node: element("div", { className: "fields" }, ...Object.keys(FIELDS).map(labelled)),
    options: () => Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, numberOf(input, FIELDS[name].label)])),
  };
}
