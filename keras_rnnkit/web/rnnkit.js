/**
 * Run the bundles of keras-rnnkit in a browser or in Node, with onnxruntime-web and nothing else.
 *
 *     import * as ort from "onnxruntime-web/wasm";
 *     import { load } from "./rnnkit.js";
 *
 *     const bundle = await load("models/demo/", { ort });
 *     const { tokens } = await bundle.generate("To be", { steps: 50, seed: 1 });
 *     console.log(bundle.text(tokens[0][0]));
 */

export { load, Bundle } from "./runtime/bundle.js";
export { BundleError, InputError } from "./runtime/errors.js";
export { Greedy, Sampling, Strategy } from "./runtime/strategies.js";
export { Beam } from "./runtime/beam.js";
export { Stream } from "./runtime/stream.js";
export { Vocabulary } from "./runtime/vocabulary.js";
export { noise } from "./runtime/noise.js";
