/** A bundle: the folder that `keras_rnnkit.export_bundle` writes, ready to run in a browser or in Node. */

import { BundleError, InputError, listed, shown, wholeNumber } from "./errors.js";
import { BundleFiles, readerOf } from "./files.js";
import * as generation from "./generation.js";
import { Graph } from "./graph.js";
import { NONE_YET } from "./beam.js";
import { Stream } from "./stream.js";
import { Sampling } from "./strategies.js";
import * as translation from "./translation.js";
import { UNKNOWN, Vocabulary } from "./vocabulary.js";

/**
 * The bundle below an address, after its manifest was checked. Files are fetched when they are first used, and refused
 * unless their size and sha256 are those of the manifest.
 *
 * @param {string | URL | import("./files.js").Reader} address of the folder, or a function that reads its files
 * @param {object} [options]
 * @param {any} [options.ort] the module onnxruntime-web, which must be given
 * @param {"int8" | "float16" | null} [options.quantized] the graphs with such weights, where the bundle has them
 * @returns {Promise<Bundle>}
 */
export async function load(address, { ort, quantized = null } = {}) {
  if (!ort?.InferenceSession) {
    throw new BundleError('load needs onnxruntime-web: import * as ort from "onnxruntime-web/wasm"; load(address, { ort }).');
  }
  const where = typeof address === "function" ? "bundle" : String(address);
  const files = await BundleFiles.open(typeof address === "function" ? address : readerOf(address), where);
  const graphs = Object.values(files.manifest.graphs);
  if (quantized !== null && !graphs.some((graph) => quantized in (graph.quantized ?? {}))) {
    throw new BundleError(`The bundle ${shown(where)} has no ${quantized} graphs. Export it with quantize=${shown(quantized)}.`);
  }
  const vocabulary = (key) => readVocabulary(files, files.manifest[key]);
  return new Bundle(files, ort, quantized, await vocabulary("vocabulary"), await vocabulary("source_vocabulary"));
}

async function readVocabulary(files, name) {
  return name === null ? null : Vocabulary.parsed(await files.readText(name), name);
}

export class Bundle {
  #opened = new Map();

  constructor(files, ort, quantized, vocabulary, sourceVocabulary) {
    this.files = files;
    this.ort = ort;
    this.quantized = quantized;
    this.vocabulary = vocabulary;
    this.sourceVocabulary = sourceVocabulary;
    this.manifest = files.manifest;
    /** @type {string[] | null} the names of the labels in the order of their numbers */
    this.labels = files.manifest.labels;
  }

  /** The graph of a mode, opened once. @returns {Promise<Graph>} */
  graph(mode) {
    if (!this.#opened.has(mode)) {
      const opening = this.#open(mode);
      this.#opened.set(mode, opening);
      opening.catch(() => this.#opened.delete(mode)); // the next call tries again
    }
    return this.#opened.get(mode);
  }

  async #open(mode) {
    const facts = this.manifest.graphs[mode];
    if (!facts) {
      const why = this.manifest.refused[mode] ?? `Export it with modes=(..., ${shown(mode)}).`;
      throw new BundleError(`The bundle ${shown(this.files.where)} has no graph for ${shown(mode)}. ${why}`);
    }
    const name = facts.quantized?.[this.quantized]?.file ?? facts.file;
    return Graph.open(this.ort, name, await this.files.read(name));
  }

  /** Frees the graphs. */
  async release() {
    const opened = [...this.#opened.values()];
    this.#opened.clear();
    await Promise.all(opened.map((opening) => opening.then((graph) => graph.release(), () => {})));
  }

  /**
   * The outputs for whole sequences: a tensor, or an object of tensors by name where the model has several.
   *
   * @param inputs an array [batch, time, ...]; an object of arrays by the names of the inputs where there are several
   */
  async predict(inputs) {
    const graph = await this.graph("sequence");
    const named = Object.getPrototypeOf(inputs ?? 0) === Object.prototype && !Array.isArray(inputs.dims);
    if (!named && graph.inputs.length !== 1) {
      throw new InputError(`The model has the inputs ${listed(graph.inputs)}. Pass an object of arrays by these names.`);
    }
    const feeds = named ? inputs : { [graph.inputs[0]]: inputs };
    const tensors = Object.fromEntries(Object.entries(feeds).map(([name, value]) => [name, graph.checked(name, value)]));
    const rows = Object.values(tensors).find((tensor) => tensor.dims.length)?.dims[0] ?? 1;
    return graph.visible(await graph.runTensors({ ...tensors, ...graph.start(rows) }));
  }

  /** A stream over chunks, which carries the states from one to the next. */
  async stream({ rows = 1, ...fixed } = {}) {
    return new Stream(await this.graph("stream"), rows, fixed);
  }

  /**
   * Tokens that follow a prompt, or several prompts of any lengths.
   *
   * @param {string | number[] | (string | number[])[]} prompt
   * @param {object} options
   * @param {number} [options.steps] the largest number of tokens of a row
   * @param [options.strategy] null takes the one that was exported, in one run of its graph
   * @param {number} [options.seed] the same seed gives the same tokens as in Python
   * @param {number | null} [options.temperature] of the exported strategy, where that is sampling; also topK and topP
   * @param {number | null} [options.end] the token that ends a row, for a strategy passed here
   * @param {boolean} [options.allowUnknown] let a strategy passed here pick the token `<unk>`
   * @param {object} [options.fixed] the other inputs of the model by name
   * @returns {Promise<import("./generation.js").Generated>}
   */
  async generate(prompt, { steps = 100, strategy = null, seed = 0, end = null, allowUnknown = false, fixed = {}, ...options } = {}) {
    const prompts = this.#prompts(prompt);
    if (strategy === null) {
      const graph = await this.graph("generate");
      refuseAllowing(graph, allowUnknown);
      return generation.byGraph(graph, prompts, steps, seed, { ...options, end }, fixed);
    }
    refuseOptions(strategy, options);
    return generation.bySteps(await this.graph("stream"), prompts, this.#known(strategy, allowUnknown), steps, seed, end, fixed);
  }

  /** The tokens of a single prompt, one after the other as they come. A beam has none before its end. */
  async *tokens(prompt, { steps = 100, strategy = new Sampling(), seed = 0, end = null, allowUnknown = false, fixed = {} } = {}) {
    if (strategy.rows > 1) {
      throw new InputError(`${strategy.constructor.name} changes tokens it gave before. Use generate().`);
    }
    const prompts = this.#prompts(prompt);
    if (prompts.length > 1) throw new InputError(`tokens() takes one prompt. Received: ${prompts.length}. Use generate().`);
    const known = this.#known(strategy, allowUnknown);
    for await (const { carry } of await generation.stepsOf(await this.graph("stream"), prompts, known, steps, seed, end, fixed)) {
      yield carry.tokens[0];
    }
  }

  /** The text that tokens stand for. tokens: ids, or what `generate` gave, of which the first is taken. */
  text(tokens) {
    if (!this.vocabulary) throw new InputError(`The bundle ${shown(this.files.where)} has no vocabulary. Export it with vocabulary=.`);
    const ids = tokens.lengths ? tokens.tokens[0][0].slice(0, tokens.lengths[0][0]) : Array.from(tokens, Number);
    const count = this.vocabulary.tokens.length;
    if (ids.some((id) => !Number.isInteger(id) || id < 0 || id >= count)) {
      throw new InputError(`Tokens must be 0 to ${count - 1}. Received: [${ids.join(", ")}].`);
    }
    return this.vocabulary.decode(ids);
  }

  /**
   * The translations of a source, the best first.
   *
   * @param {string | number[] | any} source a text, the ids of its tokens, features or an image
   * @returns {Promise<import("./translation.js").Translation[]>}
   */
  async translate(source, { steps = 100, strategy = null, seed = 0, allowUnknown = false, ...options } = {}) {
    const facts = this.manifest.translation;
    if (!facts) throw new BundleError(`The bundle ${shown(this.files.where)} holds no encoder and decoder, so it cannot translate.`);
    const { tensor, steps: length } = translation.sourceOf(source, facts, this.sourceVocabulary);
    let hypotheses;
    if (strategy === null) {
      const graph = await this.graph("generate");
      refuseAllowing(graph, allowUnknown);
      hypotheses = await translation.byGraph(graph, tensor, steps, seed, options);
    } else {
      refuseOptions(strategy, options);
      const graphs = [await this.graph("encoder"), await this.graph("step")];
      hypotheses = await translation.bySteps(...graphs, tensor, this.#known(strategy, allowUnknown), steps, seed, facts);
    }
    return hypotheses
      .filter(({ score }) => score > NONE_YET / 10) // the others are places of the beam without a hypothesis
      .map((hypothesis) => translation.translation(hypothesis, length, facts.end, this.vocabulary));
  }

  #known(strategy, allowUnknown) {
    const unknown = this.vocabulary?.number(UNKNOWN) ?? null;
    return allowUnknown || unknown === null ? strategy : strategy.forbidding([unknown]);
  }

  /** Prompts as rows of token ids. */
  #prompts(prompt) {
    const several = Array.isArray(prompt) && prompt.length && (typeof prompt[0] === "string" || Array.isArray(prompt[0]));
    const rows = several ? prompt : [prompt];
    return rows.map((row, number) => {
      const tokens = typeof row === "string" ? this.#encoded(row) : Array.from(row ?? [], Number);
      if (!tokens.length) throw new InputError(`Prompt ${number} must be a list of one token id or more. Received: the shape [0].`);
      return tokens.map((token) => wholeNumber("token", token, 0));
    });
  }

  #encoded(text) {
    if (!this.vocabulary) {
      throw new InputError(
        "The bundle has no vocabulary, so a prompt must be the ids of its tokens. Export it with vocabulary=, or pass ids.",
      );
    }
    return this.vocabulary.encode(text);
  }
}

function refuseAllowing(graph, allowUnknown) {
  if (allowUnknown && graph.facts.forbidden?.length) {
    throw new InputError(
      `The graph ${shown(graph.name)} never picks the token of unknown words, and that cannot be changed. Received: ` +
        "allow_unknown=True. Pass strategy= too, or export the model with allow_unknown=True.",
    );
  }
}

function refuseOptions(strategy, options) {
  const [name] = Object.keys(options).filter((key) => options[key] !== null && options[key] !== undefined);
  if (name) {
    throw new InputError(
      `${name} is an option of the exported strategy. Received: a strategy of ${strategy.constructor.name} too. Give the ` +
        "strategy its own numbers, such as new Sampling({ temperature: 0.8 }).",
    );
  }
}
