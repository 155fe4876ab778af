/** The description of the interface: every operation in its group, with requests to copy. */

import { element } from "../parts/dom.js";
import { json } from "../models/http.js";
import { operationCard } from "./operation.js";

const METHODS = ["get", "post", "put", "delete"];

async function show() {
  const place = document.getElementById("operations");
  try {
    const [specification, { models }] = await Promise.all([json("/openapi.json"), json("/v2/models")]);
    place.replaceChildren(...sections(specification, models));
  } catch (error) {
    place.replaceChildren(element("p", { className: "problem", role: "alert" }, error.message, error.status === 401 ? element("a", { href: "/" }, " Sign in") : null));
  }
}

/** The introduction, then one section for each tag of the specification. */
function sections(specification, models) {
  const { info, tags, paths } = specification;
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]).map((method) => ({ path, method, ...methods[method] })));
  const context = { models, schemas: specification.components.schemas, secured: Boolean(specification.security) };
  const groups = tags.map(({ name }) => section(name, operations.filter((operation) => operation.tags?.includes(name)), context));
  document.getElementById("contents").replaceChildren(...tags.map(({ name }) =>
    element("li", {}, element("a", { href: `#${name.toLowerCase()}` }, name))));
  const introduction = element(
    "header", { className: "head" },
    element("h2", {}, "Interface"),
    element("p", {}, `${info.description} Version ${info.version}. `, element("a", { href: "/openapi.json" }, "openapi.json"), " describes it for programs."),
    context.secured ? element("p", { className: "quiet" }, "This server needs its token: the requests read it from the variable RNNKIT_TOKEN.") : null,
  );
  return [introduction, ...groups];
}

function section(name, operations, context) {
  const heading = element("h3", {}, name);
  return element("section", { className: "operations", id: name.toLowerCase() }, heading, ...operations.map((operation) => operationCard(operation, context)));
}

show();
