/** What hidden units do over a text: their states after each token. */

import { InputError, shown } from "../runtime/errors.js";

const LONGEST = 2000;

/** {tokens, units, ranking, values}: values [tokens, units], ranking: the units that react most first. */
export async function activations(bundle, text, state) {
  const graph = await bundle.graph("stream");
  const prompt = bundle.vocabulary.encode(text);
  if (prompt.length > LONGEST) throw new InputError(`The text has ${prompt.length} tokens; ${LONGEST} at most are shown.`);
  if (!graph.states.some(({ input }) => input === state)) throw new InputError(`There is no state ${shown(state)}.`);
  const stream = await bundle.stream();
  const rows = [];
  for (const token of prompt) {
    await stream.push([[token]]);
    rows.push(Float32Array.from(stream.states[state].data));
  }
  const units = rows[0].length;
  const values = new Float32Array(rows.length * units);
  rows.forEach((row, t) => values.set(row, t * units));
  const reactions = Array.from({ length: units }, (_, unit) => reaction(rows.map((row) => row[unit])));
  const ranking = [...reactions.keys()].sort((a, b) => reactions[b] - reactions[a] || a - b).slice(0, 24);
  return { tokens: prompt.map((token) => bundle.vocabulary.decode([token]) || "·"), units, ranking, values };
}

/** How much a unit reacts to a text: it is far from zero, and changes its sign now and then. */
function reaction(values) {
  let [size, changes] = [0, 0];
  values.forEach((value, t) => {
    size += Math.abs(value);
    if (t) changes += Math.abs(Math.sign(value) - Math.sign(values[t - 1]));
  });
  const rate = values.length > 1 ? changes / (values.length - 1) : 0;
  return (size / values.length) * (rate > 0.02 && rate < 0.4 ? 1 : 0.1);
}
