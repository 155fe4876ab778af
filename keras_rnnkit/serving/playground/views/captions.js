/** Captions: an image, the best sentences, and where the model looked for each word. */

import { announce, problemBox } from "../parts/announce.js";
import { element, field, panel } from "../parts/dom.js";
import { imageOf, pixelsOf, resized } from "../parts/pixels.js";
import { Runner } from "../parts/run.js";
import { SCENE_NAMES, sampleScenes } from "../parts/sample_scenes.js";
import { attentionPicture, placeText } from "../charts/attention_picture.js";
import { hypothesisList } from "./hypotheses.js";

/** @param {import("../models/model.js").Model} model */
export function captionsView(model) {
  const { shape } = model.description.source;
  const problem = problemBox();
  const picture = attentionPicture();
  const results = element("div", { className: "view" });
  const below = panel("Caption", element("div", { className: "split" }, picture.canvas, results));
  below.hidden = true;
  const runner = new Runner(problem, []);
  const samples = sampleButtons((canvas) => caption(canvas));
  const drop = dropZone((file) => runner.run(async (signal) => describe(await imageOf(file), signal)));

  function caption(image) {
    runner.stop();
    setTimeout(() => runner.run((signal) => describe(image, signal))); // after the one before has ended
  }

  async function describe(image, signal) {
    const input = resized(image, shape);
    below.hidden = false;
    picture.show(input);
    results.replaceChildren(element("p", { className: "quiet" }, "Looking…"));
    const hypotheses = await model.translate(pixelsOf(input, shape[2] ?? 3), { signal });
    const words = element("div", {});
    const choose = (hypothesis) => words.replaceChildren(wordsPanel(hypothesis, input, picture));
    choose(hypotheses[0]);
    results.replaceChildren(words, element("h3", {}, "Captions"), hypothesisList(hypotheses, choose));
    announce(`Caption: ${hypotheses[0].text}`);
  }

  return {
    node: element("div", { className: "view" }, panel("Image", samples, drop, problem.node), below),
    stop: () => runner.stop(),
  };
}

function sampleButtons(choose) {
  const canvases = sampleScenes();
  const buttons = canvases.map((canvas, i) =>
    element("button", { type: "button", className: "sample", "aria-pressed": "false", "aria-label": `Sample image: ${SCENE_NAMES[i]}`, onclick: () => press(i) }, canvas));
  function press(i) {
    buttons.forEach((button, j) => button.setAttribute("aria-pressed", String(i === j)));
    choose(canvases[i]);
  }
  return element("div", { className: "samples", role: "group", "aria-label": "Sample images" }, ...buttons);
}

function dropZone(choose) {
  const input = element("input", { type: "file", accept: "image/*", onchange: () => input.files[0] && choose(input.files[0]) });
  const node = element("div", { className: "drop" }, element("p", {}, "Drop an image here, or choose a file."), field("Image file", input));
  node.addEventListener("dragover", (event) => {
    event.preventDefault();
    node.classList.add("over");
  });
  node.addEventListener("dragleave", () => node.classList.remove("over"));
  node.addEventListener("drop", (event) => {
    event.preventDefault();
    node.classList.remove("over");
    if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
  });
  return node;
}

/** The words of a caption; the one that is pressed or pointed at shows where the model looked. */
function wordsPanel({ text, attention }, image, picture) {
  if (!attention?.target.length) {
    return element("div", {}, element("p", { className: "caption" }, text), element("p", { className: "quiet" }, "This model has no attention to show."));
  }
  const readout = element("p", { className: "readout", "aria-live": "polite" }, "Choose a word to see where the model looked.");
  const buttons = attention.target.map((word, i) =>
    element("button", { type: "button", className: "chip", "aria-pressed": "false", onclick: () => show(i), onpointerenter: () => show(i) }, word));
  const all = element("button", { type: "button", className: "chip", onclick: () => show(-1) }, "Whole image");

  function show(index) {
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === index)));
    picture.show(image, index < 0 ? null : attention.weights[index]);
    const sentence = index < 0 ? "The whole image." : `“${attention.target[index]}” looked mostly at the ${placeText(attention.weights[index], image)}.`;
    readout.textContent = sentence;
  }

  return element("div", { className: "view" }, element("div", { className: "chips", role: "group", "aria-label": "Words of the caption" }, ...buttons, all), readout);
}
