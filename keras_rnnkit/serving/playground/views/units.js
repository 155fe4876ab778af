/** What the hidden units of a model do over a text. */

import { problemBox } from "../parts/announce.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { colouredText, colourLegend } from "../charts/coloured_text.js";

const SHOWN = 10; // of the units that react most
const LONGEST = 2000; // characters

/**
 * @param {import("../models/model.js").Model} model
 * @param {() => string} text
 */
export function unitsPanel(model, text) {
  const problem = problemBox();
  const { states } = model.description;
  const layer = element("select", { onchange: () => results.hidden || runner.run(colour) },
    ...states.map((state) => new Option(`${state.layer} · ${state.letter} (${state.size} units)`, state.name)));
  const lastOutput = states.findLast((state) => state.letter === "h") ?? states.at(-1);
  if (lastOutput) layer.value = lastOutput.name;
  const button = element("button", { type: "button", onclick: () => runner.run(colour) }, "Colour the text");
  const slider = element("input", { type: "range", min: 0, value: 0, oninput: () => show(slider.valueAsNumber) });
  const number = element("span", { className: "mono" }); // an <output> would take the label from the slider
  const top = element("div", { className: "chips", role: "group", "aria-label": "Units that react most" });
  const place = element("div", {});
  const readout = element("p", { className: "readout" });
  const results = element(
    "div",
    { className: "view", hidden: true },
    element("div", { className: "field" }, "Units that react most", top),
    element("label", { className: "field" }, element("span", {}, "Unit ", number), slider),
    colourLegend(), place, readout,
  );
  const runner = new Runner(problem, [button, layer]);
  let [activations, coloured, unit] = [null, null, 0];

  async function colour(signal) {
    const content = text().slice(-LONGEST);
    if (!content) throw new Error("There is no text to colour. Write one first.");
    activations = await model.activations(content, layer.value, { signal });
    coloured = colouredText(activations.tokens, model.description.unit === "word" ? " " : "", read);
    place.replaceChildren(coloured.node);
    slider.max = activations.units - 1;
    top.replaceChildren(...activations.ranking.slice(0, SHOWN).map((index) =>
      element("button", { type: "button", className: "chip", value: index, onclick: () => show(index) }, String(index))));
    results.hidden = false;
    show(activations.ranking[0]);
  }

  function show(index) {
    unit = index;
    slider.value = index;
    number.textContent = `${index} (0 to ${activations.units - 1})`;
    for (const chip of top.children) chip.setAttribute("aria-pressed", String(Number(chip.value) === index));
    const values = activations.tokens.map((_, token) => activations.value(token, unit));
    const largest = Math.max(...values.map(Math.abs), 1e-9);
    coloured.paint(values.map((value) => value / largest));
    read(coloured.selected());
  }

  function read(token) {
    const shown = activations.tokens[token].replaceAll(" ", "␣").replaceAll("\n", "⏎");
    readout.replaceChildren("After ", element("b", {}, shown), ` unit ${unit} is `, element("b", {}, activations.value(token, unit).toFixed(3)));
  }

  const node = panel(
    "Hidden units",
    element("p", { className: "quiet" }, "Colours the text above by the state of one unit after each token. Move the slider to compare units."),
    element("div", { className: "row low" }, field("Layer and state", layer), button),
    problem.node, results,
  );

  return {
    node,
    stop: () => runner.stop(),
    /** The text is another one now: the old colours are taken away. */
    changed() {
      results.hidden = true;
    },
  };
}
