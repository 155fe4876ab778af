/** Where a series goes on to: the model's output, fed back to it step by step. */

import { filled, repeatedRows } from "../runtime/arrays.js";
import { InputError } from "../runtime/errors.js";

/** Futures that are drawn beside the forecast, where the model has an interval. */
const PATHS = 127;
const BOUND = /^(lower|upper)_([1-9]\d?)$/;

/** {values, interval} for a series [T, D]; see `keras_rnnkit/serving/models/forecast.py` for how intervals widen. */
export async function forecast(graph, series, steps) {
  const { values, interval } = await ahead(graph, series, graph.start(1), steps);
  return { values, interval };
}

/** A series that is still growing: each point is read once, and the forecast begins at the last one. */
export class LiveSeries {
  constructor(graph) {
    this.graph = graph;
    this.states = graph.start(1);
  }

  /** Read points [T, D]. {values, interval} of so many steps after them. */
  async push(points, steps) {
    const { values, interval, states } = await ahead(this.graph, points, this.states, steps);
    this.states = states;
    return { values, interval };
  }
}

/** {values, interval, states}; the states are those after the points. */
async function ahead(graph, points, begin, steps) {
  const { names, level } = seriesOutputs(graph.outputs);
  const [input] = graph.inputs;
  const channels = points[0].length;
  let chunk = graph.checked(input, [points]);
  let states = begin;
  let after = null;
  const [values, lower, upper] = [[], [], []];
  for (let step = 0; step < steps; step++) {
    const results = await graph.runTensors({ [input]: chunk, ...states });
    const [next, ...bounds] = names.map((name) => lastSteps(results[name], channels));
    values.push(next[0]);
    states = graph.carried(results);
    after ??= states;
    let following = next;
    if (level !== null) {
      const drawn = draw(next, ...bounds, level);
      const sides = [(1 - level) / 2, (1 + level) / 2];
      const own = step ? sides.map((part) => quantiles(drawn, part)) : bounds.map((rows) => rows[0]);
      lower.push(own[0]);
      upper.push(own[1]);
      following = [next[0], ...drawn];
      if (!step) states = Object.fromEntries(Object.entries(states).map(([name, state]) => [name, repeatedRows(state, 1 + PATHS)]));
    }
    chunk = filled(graph.kinds[input], [following.length, 1, channels], following);
  }
  return { values, interval: level === null ? null : { level, lower, upper }, states: after };
}

/** The names of the forecast and of its bounds, lower_90 and upper_90 for an interval of 90 %. */
function seriesOutputs(outputs) {
  const bounds = Object.fromEntries(outputs.map((name) => BOUND.exec(name)).filter(Boolean).map(([name, side, percent]) => [side, { name, percent }]));
  const others = outputs.filter((name) => !BOUND.test(name));
  if (outputs.length !== 3 || others.length !== 1 || bounds.lower?.percent !== bounds.upper?.percent) {
    return { names: [outputs[0]], level: null };
  }
  return { names: [others[0], bounds.lower.name, bounds.upper.name], level: Number(bounds.lower.percent) / 100 };
}

function lastSteps(tensor, channels) {
  if (tensor.dims.at(-1) !== channels) {
    throw new InputError(
      `The model goes from ${channels} numbers a step to ${tensor.dims.at(-1)}, so its output cannot be its next input.`,
    );
  }
  const [rows, steps] = [tensor.dims[0], tensor.dims.length === 3 ? tensor.dims[1] : 1];
  return Array.from({ length: rows }, (_, b) => Array.from(tensor.data.subarray((b * steps + steps - 1) * channels, (b + 1) * steps * channels)));
}

/** The next value of each path; the draws are spread evenly over the distribution, in another order each time. */
function draw(next, lower, upper, level) {
  const quantile = normalQuantile((1 + level) / 2);
  const channels = next[0].length;
  const rows = (all, p) => all[all.length === 1 ? 0 : 1 + p];
  const orders = Array.from({ length: channels }, () => shuffled(PATHS));
  return Array.from({ length: PATHS }, (_, p) =>
    rows(next, p).map((value, d) => {
      const z = normalQuantile((orders[d][p] + 0.5) / PATHS);
      const width = z > 0 ? rows(upper, p)[d] - value : value - rows(lower, p)[d];
      return value + (Math.max(width, 0) / quantile) * z;
    }),
  );
}

function shuffled(count) {
  const order = [...Array(count).keys()];
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Each channel's quantile over the paths, between its two neighbours in proportion. */
function quantiles(paths, part) {
  return paths[0].map((_, d) => {
    const sorted = paths.map((row) => row[d]).sort((a, b) => a - b);
    const place = part * (sorted.length - 1);
    const below = Math.floor(place);
    return sorted[below] + (place - below) * ((sorted[below + 1] ?? sorted[below]) - sorted[below]);
  });
}

/** The inverse of the normal distribution, by bisection of its error function (Abramowitz and Stegun, 7.1.26). */
function normalQuantile(p) {
  let [low, high] = [-9, 9];
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (normal(middle) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function normal(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x) * Math.SQRT1_2);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = (series * Math.exp((-x * x) / 2)) / 2;
  return x > 0 ? 1 - tail : tail;
}

