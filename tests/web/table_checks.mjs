/**
 * The bundles of tests/web/table.py under onnxruntime-web, against what Python computed.
 *
 * Each check is a function of `{ cases, open, api }` as in checks.mjs, and returns a sentence for each case that differs.
 */

const TOLERANCE = 1e-5;
const strategyOf = ({ Greedy, Sampling, Beam }, { kind, ...options }) => new { greedy: Greedy, sampling: Sampling, beam: Beam }[kind](options);

/** Tensors that the runtime converts to the dtype of the input itself. */
const given = (inputs) => Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, { type: "", ...tensor }]));

/** A sentence about the number that differs most, or null. */
function difference(found, expected) {
  const named = found.dims ? { "": found } : found;
  let [largest, sentence] = [0, null];
  for (const [name, numbers] of Object.entries(expected)) {
    const { data } = named[name];
    if (data.length !== numbers.length) return `${name}: ${data.length} numbers, ${numbers.length} in Python`;
    numbers.forEach((number, i) => {
      const error = Math.abs(Number(data[i]) - number) / Math.max(1, Math.abs(number));
      if (!(error <= Math.max(largest, TOLERANCE))) [largest, sentence] = [error, `${name}[${i}]: ${data[i]}, ${number} in Python`];
    });
  }
  return sentence;
}

/** The steps from `begin` to `end` of a tensor [rows, steps, ...]. */
function cut({ dims, data }, begin, end) {
  const size = data.length / dims[0];
  const step = size / dims[1];
  const rows = Array.from({ length: dims[0] }, (_, row) => data.slice(row * size + begin * step, row * size + end * step));
  return { type: "", dims: [dims[0], end - begin, ...dims.slice(2)], data: rows.flat() };
}

async function failures(cases, open, check) {
  const sentences = [];
  for (const each of cases) {
    const bundle = await open(each.bundle, { quantized: each.quantized });
    const sentence = await check(bundle, each).catch((error) => error.message);
    if (sentence) sentences.push(`${each.name ?? each.bundle}: ${sentence}`);
    await bundle.release();
  }
  return sentences;
}

export const checks = {
  sequences: ({ cases, open }) =>
    failures(cases.predict, open, async (bundle, { inputs, outputs }) => difference(await bundle.predict(given(inputs)), outputs)),

  streams: ({ cases, open }) =>
    failures(cases.predict.filter(({ stream }) => stream), open, async (bundle, { inputs, stream: { along, cuts, rows, answers, whole } }) => {
      const fixed = given(Object.fromEntries(Object.entries(inputs).filter(([name]) => !along.includes(name))));
      const chunk = (begin, end) => Object.fromEntries(along.map((name) => [name, cut(inputs[name], begin, end)]));
      const stream = await bundle.stream({ rows, ...fixed });
      for (const [i, expected] of answers.entries()) {
        const sentence = difference(await stream.push(chunk(cuts[i], cuts[i + 1])), expected);
        if (sentence) return `steps ${cuts[i]} to ${cuts[i + 1]}: ${sentence}`;
      }
      return difference(await (await bundle.stream({ rows, ...fixed })).push(chunk(0, cuts.at(-1))), whole);
    }),

  async tokens({ cases, open, api }) {
    const sentences = [];
    for (const name of new Set(cases.generate.map(({ bundle }) => bundle))) {
      const own = cases.generate.filter(({ bundle }) => bundle === name);
      const bundle = await open(name, { quantized: own[0].quantized });
      for (const { seed, prompt, strategy, tokens } of own) {
        const options = { steps: tokens[0].length, seed, strategy: strategy && strategyOf(api, strategy) };
        const found = await bundle.generate(prompt, options);
        const [ours, theirs] = [found.tokens[0], tokens].map((rows) => JSON.stringify(rows));
        if (ours !== theirs) sentences.push(`${name} ${JSON.stringify({ seed, strategy })}: ${ours}, ${theirs} in Python`);
      }
      await bundle.release();
    }
    return sentences;
  },
};
