/** The models as cards; each is a link, so that the address of the page says which one is shown. */

import { purpose } from "../models/model.js";
import { element } from "./dom.js";
import { icon } from "./icons.js";

export const addressOf = (model) => `#${encodeURIComponent(model.description.name)}`;

/** @param {import("../models/model.js").Model} model */
export function card(model) {
  const { description } = model;
  const operators = [...new Set(description.layers.map((layer) => layer.operator))].join(", ");
  const abilities = [operators, description.streams ? "streams" : null].filter(Boolean).join(" · ");
  return element(
    "li", {},
    element(
      "a",
      { className: "card", href: addressOf(model) },
      icon(description.kind), element("strong", {}, description.name),
      element("small", {}, purpose(description)), element("small", {}, abilities),
    ),
  );
}
