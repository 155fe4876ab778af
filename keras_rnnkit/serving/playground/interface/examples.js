/** Bodies that the models of this server take, so that a request can be copied and works. */

import { nested } from "../models/arrays.js";
import { exampleOf as tensorExample, tensorOf } from "../models/tensor_text.js";

const FITTING = {
  "/infer": (model) => model.sequences,
  "/stream": (model) => model.streams && model.kind !== "text",
  "/generate": (model) => ["text", "translation"].includes(model.kind),
  "/generate_stream": (model) => model.kind === "text",
  "/activations": (model) => model.kind === "text",
  "/forecast": (model) => model.kind === "series",
};

/** A model that can do what the address is for; undefined if the server has none. */
export function modelFor(path, models) {
  const ending = Object.keys(FITTING).find((each) => path.endsWith(each));
  return models.find(FITTING[ending] ?? (() => true));
}

const tensors = (model) => model.inputs.map((input) => tensorOf(input, tensorExample(input)));

const waves = (model) => {
  const width = model.inputs[0].shape.at(-1);
  return Array.from({ length: 12 }, (_, t) => Array.from({ length: width }, (_, i) => Number(Math.sin(t / 2 + i).toFixed(2))));
};

const BODIES = {
  InferRequest: (model) => ({ inputs: tensors(model) }),
  GenerateRequest: (model) =>
    model.kind === "text"
      ? { text_input: model.example, max_tokens: 60, temperature: 0.8, seed: 0 }
      : { text_input: model.example, max_tokens: 60 },
  ActivationsRequest: (model) => ({ text_input: model.example }),
  ForecastRequest: (model) => ({ series: waves(model), steps: 10 }),
  IndexRequest: () => ({ ready: true }),
  SignIn: () => ({ token: "TOKEN" }),
};

/** The body of a request to an operation: one that fits the model, or one made from the schema. */
export function bodyOf(operation, model, schemas) {
  const schema = operation.requestBody.content["application/json"].schema;
  const make = BODIES[nameOf(schema)];
  return make && (model || !operation.path.includes("{model}")) ? make(model) : exampleOf(schema, schemas);
}

/** A chunk of one step for a stream. */
export function chunkOf(model) {
  if (!model) return { x: [[[0.5]]] };
  return Object.fromEntries(tensors(model).map(({ name, shape, data }) => [name, nested(data, shape)]));
}

const nameOf = (schema) => schema.$ref?.split("/").pop() ?? null;

/** A value of the form that a schema describes. */
export function exampleOf(schema, schemas) {
  if (schema.$ref) return exampleOf(schemas[nameOf(schema)], schemas);
  if (schema.enum) return schema.enum.includes("FP32") ? "FP32" : schema.enum[0];
  if (schema.oneOf) return exampleOf(schema.oneOf[0], schemas);
  if (schema.type === "object") {
    return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, inner]) => [name, exampleOf(inner, schemas)]));
  }
  if (schema.type === "array") return [exampleOf(schema.items ?? {}, schemas)];
  return { integer: 1, number: 0.5, boolean: true, string: "text" }[schema.type] ?? 0;
}
