/** One operation: what it does, a request in three languages, the answer, and the errors. */

import { codeBlock } from "../parts/copy.js";
import { element } from "../parts/dom.js";
import { bodyOf, exampleOf, modelFor } from "./examples.js";
import { LANGUAGES, snippet } from "./snippets.js";

/**
 * @param {any} operation of the specification, with its path and method
 * @param {{models: object[], schemas: object, secured: boolean}} context
 */
export function operationCard(operation, context) {
  const websocket = operation["x-websocket"] === true;
  const method = websocket ? "WS" : operation.method.toUpperCase();
  const card = element(
    "details", { className: "operation" },
    element(
      "summary", {},
      element("span", { className: `method ${operation.method}` }, method), element("code", {}, operation.path),
      element("span", { className: "quiet" }, firstSentence(operation.summary)),
    ),
  );
  card.addEventListener("toggle", () => card.open && card.children.length === 1 && card.append(content(operation, context, websocket)));
  return card;
}

const firstSentence = (text) => text.match(/^.*?[.](?=\s|$)/s)?.[0] ?? text;

function content(operation, context, websocket) {
  const model = modelFor(operation.path, context.models);
  const request = {
    path: operation.path.replace("{model}", encodeURIComponent(model?.name ?? "MODEL")),
    method: operation.method.toUpperCase(),
    body: operation.requestBody ? bodyOf(operation, model, context.schemas) : null,
    secured: context.secured,
    answer: answerKind(operation.responses["200"]?.content),
    websocket, model,
  };
  const { schema } = operation.responses["200"]?.content?.["application/json"] ?? {};
  const sample = schema ? exampleOf(schema, context.schemas) : null;
  const rest = operation.description ?? operation.summary.slice(firstSentence(operation.summary).length).trim();
  return element(
    "div", { className: "body" },
    rest ? element("p", {}, rest) : null,
    tabs(request),
    sample ? element("details", { className: "more" }, element("summary", {}, "Form of the answer"), codeBlock(JSON.stringify(sample, null, 2))) : null,
    element("details", { className: "more" }, element("summary", {}, "Errors"), errors(operation.responses)),
  );
}

/** "json", "events", "text", or "none" where an answer has no body. */
function answerKind(content) {
  if (!content) return "none";
  if (content["text/event-stream"]) return "events";
  return content["application/json"] ? "json" : "text";
}

/** The request in the language whose tab is selected. */
function tabs(request) {
  const place = element("div", { role: "tabpanel" });
  const buttons = LANGUAGES.map((language, i) =>
    element("button", { type: "button", role: "tab", onclick: () => select(i), onkeydown: (event) => turn(event, i) }, language));

  function select(index) {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", String(i === index));
      button.tabIndex = i === index ? 0 : -1;
    });
    place.setAttribute("aria-label", LANGUAGES[index]);
    place.replaceChildren(codeBlock(snippet(LANGUAGES[index], request)));
  }

  function turn(event, index) {
    const to = { ArrowLeft: index - 1, ArrowRight: index + 1 }[event.key];
    if (to === undefined || !buttons[to]) return;
    select(to);
    buttons[to].focus();
  }

  select(0);
  return element("div", { className: "view" }, element("div", { className: "tabs", role: "tablist", "aria-label": "Languages" }, ...buttons), place);
}

function errors(responses) {
  const rows = Object.entries(responses).filter(([status]) => Number(status) >= 400);
  return element("ul", {}, ...rows.map(([status, { description }]) => element("li", {}, element("code", {}, status), ` ${description}`)));
}
