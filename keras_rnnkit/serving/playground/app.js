/** The playground: the models as cards, and the view of the one that is chosen. */

import { announce } from "./parts/announce.js";
import { addressOf, card } from "./parts/cards.js";
import { element } from "./parts/dom.js";
import { facts, purpose } from "./models/model.js";
import { Overview, allModels, isProtected, moreViews, signIn, signOut } from "./models/source.js";
import { CaptionsView } from "./views/captions.js";
import { SeriesView } from "./views/series.js";
import { TensorsView } from "./views/tensors.js";
import { TextView } from "./views/text.js";
import { TranslationView } from "./views/translation.js";

/** A view is made from a model, and has a node and `stop`, which ends what it runs. */
const VIEWS = {
  text: TextView, translation: TranslationView, captions: CaptionsView, series: SeriesView, tensors: TensorsView, ...moreViews,
};

/** @returns {any} the element with that id */
const at = (id) => document.getElementById(id);
let models = [];
/** @type {any} the view of the chosen model */
let shown = null;

/** Show the model that the address names, or the overview, or the first. What the one before runs is stopped, and its view goes. */
function showChosen({ moved = false } = {}) {
  const named = models.find((each) => addressOf(each) === location.hash);
  const model = named ?? (Overview && models.length > 1 ? null : models[0]);
  shown?.stop();
  markCard(model && addressOf(model));
  if (model) showModel(model);
  else showOverview();
  if (!moved) return;
  announce(model ? `${model.description.name}: ${purpose(model.description)}.` : "All models.");
  at("view").focus({ preventScroll: true });
  if (matchMedia("(max-width: 59.99rem)").matches) at("view").scrollIntoView();
}

function showModel(model) {
  const { description } = model;
  shown = new (VIEWS[description.kind] ?? TensorsView)(model);
  const head = heading(description);
  at("view").replaceChildren(head, ...shown.node.children);
  document.title = `${description.name} · keras-rnnkit`;
  model.prepare?.().then((times) => sayLoaded(head, times), (error) => head.append(problemText(error.message)));
}

function showOverview() {
  shown = new Overview(models);
  at("view").replaceChildren(...shown.node.children);
  document.title = "Models in your browser · keras-rnnkit";
}

/** How long a model in the browser took to load, in its heading, and the runtime beside the list of models. */
function sayLoaded(head, { waited, opened }) {
  head.querySelector(".facts").append(element("li", {}, `Opened in ${Math.ceil(opened)} ms`));
  if (waited >= 50 && at("loading")) at("loading").textContent = `onnxruntime-web was ready after ${(waited / 1000).toFixed(1)} s.`;
}

const problemText = (sentence) => element("p", { className: "problem", role: "alert" }, sentence);

function markCard(address) {
  for (const link of at("cards").querySelectorAll("a")) {
    const current = link.getAttribute("href") === address;
    if (current) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    if (current) link.scrollIntoView({ block: "nearest", inline: "center" });
  }
}

function heading(description) {
  return element(
    "header", { className: "head" },
    element("h2", {}, description.name), element("p", { className: "quiet" }, `${purpose(description)}.`),
    element("ul", { className: "facts", "aria-label": "Facts" }, ...facts(description).map((fact) => element("li", {}, fact))),
  );
}

async function load() {
  try {
    models = await allModels();
  } catch (error) {
    if (error.status === 401) askForToken();
    else complain(error.message);
    return;
  }
  at("cards").replaceChildren(...models.map(card));
  if (models.length) showChosen();
  else complain("There is no model in the folder that is served. Export one with rk.export_bundle, and it appears here.");
  at("sign-out").hidden = !(await isProtected());
}

function complain(sentence) {
  at("view").replaceChildren(problemText(sentence));
}

function askForToken() {
  at("frame").hidden = true;
  at("sign-in").hidden = false;
  at("token").focus();
}

async function enter(event) {
  event.preventDefault();
  at("sign-in-problem").hidden = true;
  try {
    await signIn(at("token").value);
  } catch (error) {
    at("sign-in-problem").textContent = error.message;
    at("sign-in-problem").hidden = false;
    return;
  }
  at("token").value = "";
  at("sign-in").hidden = true;
  at("frame").hidden = false;
  await load();
}

async function leave() {
  shown?.stop();
  await signOut();
  location.reload();
}

addEventListener("hashchange", () => models.length && showChosen({ moved: true }));
at("sign-in").addEventListener("submit", enter);
at("sign-out").addEventListener("click", leave);
load();
