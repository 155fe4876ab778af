"use strict";

const make = (kind, text, parent) => {
  const element = document.createElement(kind);
  element.textContent = text;
  parent.append(element);
  return element;
};

const named = (schema) => (schema && schema.$ref ? schema.$ref.split("/").pop() : null);

function example(schema, all) {
  if (!schema) return null;
  if (schema.$ref) return example(all[named(schema)], all);
  if (schema.enum) return schema.enum.includes("FP32") ? "FP32" : schema.enum[0];
  if (schema.oneOf) return example(schema.oneOf[0], all);
  if (schema.type === "object") {
    const found = {};
    for (const [name, inner] of Object.entries(schema.properties || {})) found[name] = example(inner, all);
    return found;
  }
  if (schema.type === "array") return [example(schema.items, all)];
  return { integer: 1, number: 0.5, boolean: true, string: "text" }[schema.type] ?? 0;
}

async function show() {
  const token = sessionStorage.getItem("token");
  const answer = await fetch("/openapi.json", token ? { headers: { authorization: `Bearer ${token}` } } : {});
  const main = document.getElementById("paths");
  const known = await answer.json();
  if (!answer.ok) {
    make("p", known.error, main);
    return;
  }
  make("p", known.info.description, main);
  for (const [path, methods] of Object.entries(known.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const section = make("section", "", main);
      make("h2", `${method.toUpperCase()} ${path}`, section);
      make("p", operation.summary, section);
      const schemas = known.components.schemas;
      const body = operation.requestBody?.content["application/json"].schema;
      if (body) {
        make("p", "request", section).className = "quiet";
        make("pre", JSON.stringify(example(body, schemas), null, 1), section);
      }
      const good = operation.responses["200"]?.content["application/json"]?.schema;
      if (good) {
        make("p", "answer", section).className = "quiet";
        make("pre", JSON.stringify(example(good, schemas), null, 1), section);
      }
    }
  }
}

show();
