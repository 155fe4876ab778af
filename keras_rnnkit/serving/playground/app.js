/** The playground: the models as cards, and the view of the one that is chosen. */

import { announce } from "./parts/announce.js";
import { addressOf, card } from "./parts/cards.js";
import { element } from "./parts/dom.js";
import { facts, purpose } from "./models/model.js";
import { allModels, isProtected, signIn, signOut } from "./models/source.js";
import { CaptionsView } from "./views/captions.js";
import { SeriesView } from "./views/series.js";
import { TensorsView } from "./views/tensors.js";
import { TextView } from "./views/text.js";
import { TranslationView } from "./views/translation.js";

/** A view is made from a model, and has a node and `stop`, which ends what it runs. */
const VIEWS = { text: TextView, translation: TranslationView, captions: CaptionsView, series: SeriesView, tensors: TensorsView };

const at = (id) => document.getElementById(id);
let models = [];
let shown = null;

/** Show the model that the address names, or the first. What the one before runs is stopped, and its view goes. */
function showChosen({ moved = false } = {}) {
  const model = models.find((each) => addressOf(each) === location.hash) ?? models[0];
  const { description } = model;
  shown?.stop();
  markCard(addressOf(model));
  shown = new (VIEWS[description.kind] ?? TensorsView)(model);
  at("view").replaceChildren(heading(description), ...shown.node.children);
  document.title = `${description.name} · keras-rnnkit`;
  if (!moved) return;
  announce(`${description.name}: ${purpose(description)}.`);
  at("view").focus({ preventScroll: true });
  if (matchMedia("(max-width: 59.99rem)").matches) at("view").scrollIntoView();
}

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
  at("view").replaceChildren(element("p", { className: "problem", role: "alert" }, sentence));
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
