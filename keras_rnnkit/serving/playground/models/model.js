/**
 * The interface that a view talks to. `ServerModel` implements it over HTTP; a runtime in the browser can implement it
 * as well, and the views stay as they are.
 *
 * Every method takes `options.signal`, an AbortSignal, and ends with an AbortError when it is aborted. What a model
 * cannot take is an Error with a sentence for people.
 *
 * @typedef {object} TensorInfo
 * @property {string} name
 * @property {string} datatype of the Open Inference Protocol, such as "FP32"
 * @property {number[]} shape -1 for a free axis
 *
 * @typedef {TensorInfo & {data: any[]}} Tensor the numbers of a tensor in order
 *
 * @typedef {object} State
 * @property {string} name
 * @property {string} layer
 * @property {string} letter "h", or "c" for the memory of an LSTM
 * @property {number} size units
 *
 * @typedef {object} Description
 * @property {string} name
 * @property {"text" | "translation" | "captions" | "series" | "tensors" | "glimpses" | "drawing" | "frames" | "reading"} kind
 *   the last four of a local model only
 * @property {number | null} interval level of the intervals of its forecasts, such as 0.9
 * @property {TensorInfo[]} inputs
 * @property {TensorInfo[]} outputs
 * @property {boolean} sequences whether it runs whole sequences
 * @property {boolean} streams whether it keeps a state from chunk to chunk
 * @property {number | null} tokens size of the vocabulary
 * @property {"char" | "word" | "subword" | null} unit what a token is
 * @property {State[]} states
 * @property {{kind: string, shape: (number | null)[]} | null} source what an encoder reads
 * @property {string | null} example a text that it can read
 * @property {string[] | null} [labels] the names of the labels that it tells apart
 * @property {{layer: string, operator: string}[]} layers
 * @property {number} size bytes of its graphs
 * @property {any} [image] what a local view needs to know of the images of a model
 * @property {number | null} [end] the token that ends a text, of a local model
 *
 * @typedef {object} Attention
 * @property {string[]} source its tokens; empty for an image
 * @property {string[]} target
 * @property {number[][]} weights [target, source]
 *
 * @typedef {object} Hypothesis
 * @property {string} text
 * @property {number} score sum of the log-probabilities
 * @property {Attention | null} attention
 *
 * @typedef {object} ImagePixels
 * @property {number[]} shape [height, width, channels]
 * @property {Uint8ClampedArray | Uint8Array} data row by row, 0 to 255
 *
 * @typedef {object} Forecast
 * @property {number[][]} values [steps, channels]
 * @property {{level: number, lower: number[][], upper: number[][]} | null} interval
 *
 * @typedef {object} Activations
 * @property {string[]} tokens
 * @property {number} units
 * @property {number[]} ranking units, the ones that react most first
 * @property {(token: number, unit: number) => number} value
 *
 * @typedef {{text: string, probability: number | null}} Completion what would be added to a text
 *
 * @typedef {object} LiveSeries
 * @property {(points: number[][], steps: number) => Promise<Forecast>} push
 * @property {() => void} close
 *
 * @typedef {object} Stream
 * @property {(inputs: Tensor[]) => Promise<Tensor[]>} push
 * @property {() => void} close
 *
 * @typedef {object} Model
 * @property {Description} description
 * @property {(inputs: Tensor[], options?: object) => Promise<Tensor[]>} predict
 * @property {(options?: object) => Promise<Stream>} stream
 * @property {(prompt: string, options: object) => Promise<Hypothesis[]>} generate
 * @property {(prompt: string, options: object) => AsyncIterable<string>} tokens
 * @property {(source: string | ImagePixels, options?: object) => Promise<Hypothesis[]>} translate
 * @property {(series: number[][], steps: number, options?: object) => Promise<Forecast>} forecast
 * @property {(text: string, state: string, options?: object) => Promise<Activations>} activations
 * @property {boolean} [isLocal] whether it runs in this browser; such a model can also follow every key and every point:
 * @property {() => Promise<{waited: number, opened: number}>} [prepare] milliseconds for its runtime, and for itself
 * @property {(text: string, count: number, options?: object) => Promise<Completion[]>} [completions] the likeliest first
 * @property {(options?: object) => Promise<LiveSeries>} [live]
 * @property {(image: ImagePixels, count: number, options?: object) => Promise<{places: number[], labels: number[][], side: number}>} [glimpses]
 * @property {(request: object, options?: object) => Promise<number[]>} [draw]
 * @property {(text: string, options?: object) => Promise<Tensor[]>} [read]
 */

const UNITS = { char: "character by character", word: "word by word", subword: "piece by piece" };

const SENTENCES = {
  text: (d) => `Writes text, ${UNITS[d.unit] ?? "token by token"}`,
  translation: () => "Translates a text and shows where it looked",
  captions: () => "Describes an image and shows where it looked",
  series: (d) => `Continues a series of numbers${d.interval ? `, with ${Math.round(100 * d.interval)}% intervals` : ""}`,
  glimpses: () => "Recognises what you draw, by looking at a few patches of it",
  drawing: () => "Draws an image of a label, or completes yours",
  frames: () => "Labels what a camera sees, frame by frame",
  reading: () => "Judges a text as you type it",
  tensors: (d) => `Computes ${d.outputs.map((output) => output.name).join(", ")} from ${d.inputs.map((input) => input.name).join(", ")}`,
};

/**
 * The name of a label by its number, as people read it.
 *
 * @param {string[] | null | undefined} labels
 */
export const labelName = (labels, number) => labels?.[number] ?? `Label ${number}`;

/** One sentence on what a model does. */
export const purpose = (description) => (SENTENCES[description.kind] ?? SENTENCES.tensors)(description);

/** A shape as people read it, such as "[rows, steps, 3]". */
export function shapeText(shape) {
  const free = ["rows", "steps"];
  return `[${shape.map((size, axis) => (size < 0 ? (free[axis] ?? "any") : size)).join(", ")}]`;
}

/** Short facts of a model for its heading. */
export function facts(description) {
  const operators = [...new Set(description.layers.map((layer) => layer.operator))];
  const layers = description.layers.length;
  return [
    layers ? `${layers} recurrent ${layers === 1 ? "layer" : "layers"} (${operators.join(", ")})` : null,
    description.tokens ? `${description.tokens.toLocaleString("en")} tokens` : null,
    description.streams ? "Keeps state from chunk to chunk" : null,
    sizeText(description.size),
    ...(description.kind === "tensors" || description.kind === "series"
      ? [`${tensorsText(description.inputs)} → ${tensorsText(description.outputs)}`]
      : []),
  ].filter(Boolean);
}

const tensorsText = (tensors) => tensors.map((tensor) => `${tensor.name} ${shapeText(tensor.shape)}`).join(", ");

function sizeText(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB of graphs` : `${(bytes / 1e6).toFixed(1)} MB of graphs`;
}
