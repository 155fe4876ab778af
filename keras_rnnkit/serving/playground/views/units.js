/** What the hidden units of a model do over a text. */

import { problemBox } from "../parts/announce.js";
import { element, field, panel } from "../parts/dom.js";
import { Runner } from "../parts/run.js";
import { colouredText, colourLegend } from "../charts/coloured_text.js";
import { visible } from "../charts/heatmap.js";

const SHOWN = 10; // of the units that react most
const LONGEST = 2000; // characters

export class UnitsPanel {
  /**
   * @param {import("../models/model.js").Model} model
   * @param {() => string} text
   */
  constructor(model, text) {
    this.model = model;
    this.text = text;
    this.activations = null;
    this.coloured = null;
    this.unit = 0;
    this.layer = stateSelect(model.description.states);
    this.slider = element("input", { type: "range", min: 0, value: 0, oninput: () => this.show(this.slider.valueAsNumber) });
    this.number = element("span", { className: "mono" }); // an <output> would take the label from the slider
    this.ranking = element("div", { className: "chips", role: "group", "aria-label": "Units that react most" });
    this.place = element("div", {});
    this.readout = element("p", { className: "readout" });
    this.results = this.resultArea();
    this.node = this.frame();
  }

  frame() {
    const problem = problemBox();
    const button = element("button", { type: "button", onclick: () => this.start() }, "Colour the text");
    this.runner = new Runner(problem, [button, this.layer]);
    this.layer.addEventListener("change", () => this.results.hidden || this.start());
    return panel(
      "Hidden units",
      element("p", { className: "quiet" }, "Colours the text above by the state of one unit after each token. Move the slider to compare units."),
      element("div", { className: "row low" }, field("Layer and state", this.layer), button),
      problem.node, this.results,
    );
  }

  resultArea() {
    return element(
      "div", { className: "view", hidden: true },
      element("div", { className: "field" }, "Units that react most", this.ranking),
      element("label", { className: "field" }, element("span", {}, "Unit ", this.number), this.slider),
      colourLegend(), this.place, this.readout,
    );
  }

  start() {
    this.runner.run((signal) => this.colour(signal));
  }

  async colour(signal) {
    const content = this.text().slice(-LONGEST);
    if (!content) throw new Error("There is no text to colour. Write one first.");
    this.activations = await this.model.activations(content, this.layer.value, { signal });
    const { tokens, units, ranking } = this.activations;
    this.coloured = colouredText(tokens, this.model.description.unit === "word" ? " " : "", (token) => this.read(token));
    this.place.replaceChildren(this.coloured.node);
    this.slider.max = String(units - 1);
    this.ranking.replaceChildren(...ranking.slice(0, SHOWN).map((unit) => this.chip(unit)));
    this.results.hidden = false;
    this.show(ranking[0]);
  }

  chip(unit) {
    return element("button", { type: "button", className: "chip", value: unit, onclick: () => this.show(unit) }, String(unit));
  }

  /** Colour the tokens by this unit. */
  show(unit) {
    const { tokens, units, value } = this.activations;
    this.unit = unit;
    this.slider.value = unit;
    this.number.textContent = `${unit} (0 to ${units - 1})`;
    for (const chip of this.ranking.querySelectorAll("button")) chip.setAttribute("aria-pressed", String(Number(chip.value) === unit));
    const values = tokens.map((_, token) => value(token, unit));
    const largest = Math.max(...values.map(Math.abs), 1e-9);
    this.coloured.paint(values.map((state) => state / largest));
    this.read(this.coloured.selected());
  }

  /** Say what the unit is after this token. */
  read(token) {
    const { tokens, value } = this.activations;
    const state = value(token, this.unit).toFixed(3);
    this.readout.replaceChildren("After ", element("b", {}, visible(tokens[token])), ` unit ${this.unit} is `, element("b", {}, state));
  }

  /** The text is another one now: the old colours are taken away. */
  clear() {
    this.results.hidden = true;
  }

  stop() {
    this.runner.stop();
  }
}

/** The states of all layers by name; the output of the last layer is chosen. */
function stateSelect(states) {
  const select = element("select", {}, ...states.map(({ layer, letter, size, name }) => new Option(`${layer} · ${letter} (${size} units)`, name)));
  const last = states.findLast((state) => state.letter === "h") ?? states.at(-1);
  if (last) select.value = last.name;
  return select;
}
