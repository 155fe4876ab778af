/**
 * What an ONNX file says of itself: the metadata that the export wrote, its inputs and outputs, and how many tokens it
 * knows. onnxruntime-web gives no access to them, so the few fields of the protocol buffer are read here.
 */

const [METADATA, GRAPH] = [14, 7];
const [NODE, INITIALIZER, INPUT, OUTPUT] = [1, 5, 11, 12];
const DTYPES = { 1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float16" };
Object.assign(DTYPES, { 11: "float64", 12: "uint32", 13: "uint64" });

const decoder = new TextDecoder();
const textOf = (bytes) => decoder.decode(bytes);

/** The fields of a message: its number, and its bytes; of a number its value. */
function* fields(message) {
  let place = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[place++];
      if (byte === undefined || shift > 63n) throw new Error("a field is longer than its message");
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (place < message.length) {
    const key = Number(varint());
    const kind = key & 7;
    if (kind === 0) {
      yield [key >> 3, BigInt.asIntN(64, varint())];
      continue;
    }
    const size = kind === 2 ? Number(varint()) : { 1: 8, 5: 4 }[kind];
    if (size === undefined || place + size > message.length) throw new Error("a field is longer than its message");
    yield [key >> 3, message.subarray(place, place + size)];
    place += size;
  }
}

const first = (message, wanted) => {
  for (const [number, value] of fields(message)) if (number === wanted) return value;
  return null;
};
const all = (message, wanted) => [...fields(message)].filter(([number]) => number === wanted).map(([, value]) => value);
const textAt = (message, wanted) => {
  const value = first(message, wanted);
  return value === null ? "" : textOf(value);
};

/**
 * @param {Uint8Array} content
 * @returns {{facts: any, inputs: any[], defaults: any[], outputs: any[], tokenCounts: Record<string, number>}} facts: what the export wrote.
 *   inputs, outputs: `{name, type, shape}`, of an axis its length, its name or null. Inputs with a default are left out
 *   of `inputs` and listed in `defaults`.
 */
export function described(content) {
  const facts = {};
  for (const entry of all(content, METADATA)) {
    const key = textAt(entry, 1);
    if (key.startsWith("keras_rnnkit.")) facts[key.slice("keras_rnnkit.".length)] = JSON.parse(textAt(entry, 2));
  }
  const graph = first(content, GRAPH) ?? new Uint8Array(0);
  const initializers = new Set(all(graph, INITIALIZER).map((tensor) => textAt(tensor, 8)));
  const inputs = all(graph, INPUT).map(valueInfo);
  return {
    facts,
    inputs: inputs.filter((input) => !initializers.has(input.name)),
    defaults: inputs.filter((input) => initializers.has(input.name)),
    outputs: all(graph, OUTPUT).map(valueInfo),
    tokenCounts: tokenCounts(graph),
  };
}

function valueInfo(message) {
  const tensor = first(first(message, 2) ?? new Uint8Array(0), 1) ?? new Uint8Array(0);
  const shape = all(first(tensor, 2) ?? new Uint8Array(0), 1).map((axis) => {
    const [length, name] = [first(axis, 1), first(axis, 2)];
    return length !== null ? Number(length) : name !== null ? textOf(name) : null;
  });
  return { name: textAt(message, 1), type: DTYPES[Number(first(tensor, 1) ?? 0n)] ?? null, shape };
}

const SAME_NUMBERS = new Set(["Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten", "Slice", "Expand", "Gather"]);
const ARITHMETIC = new Set(["Add", "Mul", "Where", "Less", "Not"]);
const SAME_ROWS = new Set(["Cast", "Identity", "DequantizeLinear"]);

/**
 * For each input that is looked up in a table of embeddings, the number of rows of that table; see
 * `keras_rnnkit/runtime/token_counts.py`, of which this is a translation.
 */
function tokenCounts(graph) {
  const [origins, rows, counts] = [new Map(), new Map(), {}];
  for (const tensor of all(graph, INITIALIZER)) {
    const name = textAt(tensor, 8);
    rows.set(name, Number(dimensions(tensor)[0] ?? 0));
    const constant = scalar(tensor);
    if (constant !== null) origins.set(name, { inputs: new Set(), constants: new Set([constant]) });
  }
  for (const input of all(graph, INPUT)) origins.set(textAt(input, 1), { inputs: new Set([textAt(input, 1)]), constants: new Set() });
  for (const node of all(graph, NODE)) {
    const [operator, inputs, output] = [textAt(node, 4), all(node, 1).map(textOf), textAt(node, 2)];
    const origin = origins.get(inputs[1]);
    if (operator === "Gather" && rows.has(inputs[0]) && origin && axisOf(node) === 0) {
      const size = rows.get(inputs[0]);
      const [name] = origin.inputs;
      const known = [...origin.constants].every((constant) => constant === 0 || constant === size);
      if (origin.inputs.size === 1 && known) counts[name] = Math.min(size, counts[name] ?? size);
    }
    const next = originOf(operator, inputs, origins);
    if (next) origins.set(output, next);
    if (SAME_ROWS.has(operator) && rows.has(inputs[0])) rows.set(output, rows.get(inputs[0]));
  }
  return counts;
}

function originOf(operator, inputs, origins) {
  if (SAME_NUMBERS.has(operator)) return origins.get(inputs[0]);
  if (!ARITHMETIC.has(operator)) return undefined;
  const sources = inputs.filter(Boolean).map((name) => origins.get(name));
  if (sources.includes(undefined)) return undefined;
  const union = (key) => new Set(sources.flatMap((source) => [...source[key]]));
  return { inputs: union("inputs"), constants: union("constants") };
}

/** The lengths of a tensor's axes, packed or one by one. */
function dimensions(tensor) {
  return all(tensor, 1).flatMap((value) => (typeof value === "bigint" ? [value] : packed(value)));
}

function packed(bytes) {
  const values = [];
  let [value, shift] = [0n, 0n];
  for (const byte of bytes) {
    value |= BigInt(byte & 0x7f) << shift;
    if (byte >= 0x80) shift += 7n;
    else {
      values.push(BigInt.asIntN(64, value));
      [value, shift] = [0n, 0n];
    }
  }
  return values;
}

/** The data types of whole numbers of 8 to 64 bits, and of booleans. */
const WHOLE_TYPES = new Set([2, 3, 4, 5, 6, 7, 9, 12, 13]);

/** The number of a tensor that holds one whole number, or zero of any dtype; null for all others. */
function scalar(tensor) {
  if (dimensions(tensor).some((length) => length !== 1n)) return null;
  const values = [];
  for (const [number, value] of fields(tensor)) {
    if (number === 9 && value.length <= 8) values.push(littleEndian(value));
    else if (number === 5 || number === 7) values.push(Number(typeof value === "bigint" ? value : (packed(value)[0] ?? 0n)));
    else if (number === 4 && value.every((byte) => byte === 0)) values.push(0);
  }
  if (values.length !== 1) return null;
  // The bytes of a real number are not its value, unless all of them are zero.
  return values[0] === 0 || WHOLE_TYPES.has(Number(first(tensor, 2) ?? 0n)) ? values[0] : null;
}

const littleEndian = (bytes) => Number([...bytes].reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n));

/** The attribute `axis` of a node, which is 0 if it is not written. */
function axisOf(node) {
  const axis = all(node, 5).find((attribute) => textAt(attribute, 1) === "axis");
  return axis ? Number(first(axis, 3) ?? 0n) : 0;
}
