/** The worker that runs the models of the page: onnxruntime-web and the runtime of keras-rnnkit. */

import { Beam, Greedy, Sampling, load } from "./rnnkit/rnnkit.js";
import { activations } from "./rnnkit/page/activations.js";
import { Completer } from "./rnnkit/page/completion.js";
import { LiveSeries, forecast } from "./rnnkit/page/forecast.js";
import { drawn, glimpsed } from "./rnnkit/page/images.js";

/** onnxruntime-web, from the files that the page sends in its first message. */
let begin;
const onnxruntime = new Promise((resolve) => (begin = resolve)).then(async (files) => {
  const script = (name) => URL.createObjectURL(new Blob([files[name]], { type: "text/javascript" }));
  const ort = await import(script("ort.wasm.min.mjs"));
  ort.env.wasm.wasmPaths = { mjs: script("ort-wasm-simd-threaded.mjs") };
  ort.env.wasm.wasmBinary = files["ort-wasm-simd-threaded.wasm"];
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return ort;
});

const KINDS = { float32: "FP32", float64: "FP64", int8: "INT8", int16: "INT16", int32: "INT32", int64: "INT64" };
Object.assign(KINDS, { uint8: "UINT8", uint16: "UINT16", uint32: "UINT32", uint64: "UINT64", bool: "BOOL" });
const bundles = new Map();
const completers = new Map();
const streams = new Map();
let opened = 0;
const stopped = new Set();

function bundle(name) {
  if (!bundles.has(name)) {
    const opening = Promise.all([onnxruntime, descriptions()]).then(([ort, all]) => {
      const { folder, quantized } = all.find((each) => each.name === name);
      return load(new URL(folder, import.meta.url), { ort, quantized });
    });
    opening.catch(() => bundles.delete(name));
    bundles.set(name, opening);
  }
  return bundles.get(name);
}

/** A number by which the page names a stream. */
function keep(stream) {
  streams.set((opened += 1), stream);
  return opened;
}

const descriptions = async () => (await fetch(new URL("./models.json", import.meta.url))).json();

/** Tensors as the page has them, {name, datatype, shape, data}, and as the runtime has them. */
const toTensors = (graph, inputs) =>
  Object.fromEntries(inputs.map(({ name, shape, data }) => [name, graph.checked(name, { type: "", dims: shape, data: plain(graph, name, data) })]));
const plain = (graph, name, data) => (graph.allKinds[name] === "bool" ? data : Float64Array.from(data));

function toPage(graph, results) {
  const tensors = graph.outputs.length === 1 ? { [graph.outputs[0]]: results } : results;
  return Object.entries(tensors).map(([name, { type, dims, data }]) => ({
    name,
    datatype: KINDS[type],
    shape: dims,
    data: Array.from(data, (number) => (type === "bool" ? Boolean(number) : Number(number))),
  }));
}

/** The strategy that the fields of the page ask for. */
function strategyOf({ temperature = 1, top_k: topK = 0, top_p: topP = 1, beam = 1, length_penalty: lengthPenalty = 0 }) {
  if (beam > 1) return new Beam({ width: beam, lengthPenalty });
  return temperature === 0 ? new Greedy() : new Sampling({ temperature, topK, topP });
}

const settings = ({ max_tokens: steps = 100, seed = 0, end = null }) => ({ steps, seed, end });

const METHODS = {
  /** Open the graph that the page uses first. How long that took in milliseconds, and how long onnxruntime-web did before. */
  async prepare(name) {
    const began = performance.now();
    await onnxruntime;
    const loaded = performance.now();
    const model = await bundle(name);
    const first = ["stream", "sequence", "generate"].find((mode) => mode in model.manifest.graphs);
    await model.graph(first);
    return { waited: loaded - began, opened: performance.now() - loaded };
  },

  async completions(name, text, count) {
    if (!completers.has(name)) completers.set(name, await Completer.open(await bundle(name)));
    return completers.get(name).completions(text, count);
  },

  async live(name) {
    return keep(new LiveSeries(await (await bundle(name)).graph("stream")));
  },

  async point(key, points, steps) {
    return streams.get(key).push(points, steps);
  },

  async glimpses(name, image, count) {
    return glimpsed(await bundle(name), image, count);
  },

  async draw(name, request) {
    return drawn(await bundle(name), request);
  },

  /** Milliseconds of a step of a stream: the mean of each of some blocks of steps, without the first ones. */
  async measure(name, { features, blocks, block, warm }) {
    const stream = await (await bundle(name)).stream();
    const chunk = { type: "float32", dims: [1, 1, features], data: new Float32Array(features) };
    const times = [];
    for (let n = 0; n < warm + blocks; n++) {
      const began = performance.now();
      for (let step = 0; step < block; step++) await stream.push(chunk);
      times.push((performance.now() - began) / block);
    }
    return times.slice(warm);
  },

  /** The outputs of a model that reads a text and writes none. */
  async read(name, text) {
    const model = await bundle(name);
    const graph = await model.graph("sequence");
    return toPage(graph, await model.predict([model.vocabulary.encode(text)]));
  },

  async predict(name, inputs) {
    const model = await bundle(name);
    const graph = await model.graph("sequence");
    return toPage(graph, await model.predict(toTensors(graph, inputs)));
  },

  async stream(name) {
    return keep(await (await bundle(name)).stream());
  },

  async push(key, inputs) {
    const stream = streams.get(key);
    return toPage(stream.graph, await stream.push(toTensors(stream.graph, inputs)));
  },

  async close(key) {
    streams.delete(key);
    return null;
  },

  async generate(name, prompt, options) {
    const model = await bundle(name);
    const { tokens, scores, lengths } = await model.generate(prompt, { ...settings(options), strategy: strategyOf(options) });
    return tokens[0].map((row, k) => ({ text: model.text(row.slice(0, lengths[0][k])), score: scores[0][k], attention: null }));
  },

  async *tokens(name, prompt, options) {
    const model = await bundle(name);
    let [tokens, written] = [[], ""];
    for await (const token of model.tokens(prompt, { ...settings(options), strategy: strategyOf(options) })) {
      tokens = [...tokens, token];
      const text = model.text(tokens); // of words and pieces of words, the space between two belongs to the second
      yield text.slice(written.length);
      written = text;
    }
  },

  async translate(name, source, { max_tokens: steps = 100, beam = 0, ...options }) {
    const model = await bundle(name);
    const strategy = beam > 0 ? { strategy: strategyOf({ beam, ...options }) } : {};
    const found = await model.translate(typeof source === "string" ? source : pixels(source), { steps, ...strategy });
    const words = (text) => (typeof text === "string" ? text : []);
    return found.map(({ text, score, tokens, attention }) => ({
      text,
      score,
      attention: attention && {
        source: typeof source === "string" ? pieces(model.sourceVocabulary, model.sourceVocabulary.encode(words(source))) : [],
        target: model.vocabulary ? pieces(model.vocabulary, tokens) : tokens.map(String),
        weights: attention,
      },
    }));
  },

  async forecast(name, series, steps) {
    return forecast(await (await bundle(name)).graph("stream"), series, steps);
  },

  async activations(name, text, state) {
    return activations(await bundle(name), text, state);
  },
};

const pieces = (vocabulary, tokens) => tokens.map((token) => vocabulary.decode([token]) || vocabulary.tokens[token]);

/** An image as the model reads it: numbers from 0 to 255, [height, width, channels]. */
const pixels = ({ shape, data }) => ({ type: "", dims: shape, data });

onmessage = async ({ data: { call, method, parameters, stop, onnxruntime: files } }) => {
  if (files) {
    begin(files);
    return;
  }
  if (stop) {
    stopped.add(call);
    return;
  }
  try {
    const answer = METHODS[method](...parameters);
    if (answer[Symbol.asyncIterator]) {
      for await (const value of answer) {
        if (stopped.has(call)) return;
        postMessage({ call, value });
        await new Promise((resolve) => setTimeout(resolve)); // lets a message to stop come in
      }
      postMessage({ call, done: true });
    } else {
      postMessage({ call, value: await answer, done: true });
    }
  } catch (error) {
    postMessage({ call, error: error.message ?? String(error) });
  } finally {
    stopped.delete(call);
  }
};
