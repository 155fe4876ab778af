"""The hoisted loop in TensorFlow, with a gradient of its own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_rnnkit.kernels import graph_loops, loop_choice, row_groups
from keras_rnnkit.kernels.compiled_loops import CompiledLoops, TransposedProducts, transposes
from keras_rnnkit.kernels.programs import program_for
from keras_rnnkit.kernels.steps import DerivedStep, WrittenStep, step_of
from keras_rnnkit.kernels.taped_loops import TapedLoops

HALF_PRECISION = (tf.float16, tf.bfloat16)


def run(recurrence, inputs, carry, consts, weights, differentiable: bool):
    """The carries after each step, stacked [T, B, ...].

    When differentiable, the gradient is ours: the loop back carries only what a step hands to the step before it,
    and the gradients of the weights come from all steps at once, one product each, after the loop.

    inputs: the `LoopInputs` of the call.
    """
    count = loop_choice.row_groups(recurrence.cell, inputs) if differentiable else 1
    if count == 1:
        return run_all(recurrence, inputs, carry, consts, weights, differentiable)

    def run_rows(steps, carry, consts):
        return run_all(recurrence, inputs.of(steps, carry), carry, consts, weights, differentiable)

    return row_groups.run(run_rows, inputs.steps, inputs.active, carry, consts, count)


def run_all(recurrence, inputs, carry, consts, weights, differentiable: bool):
    """`run`, all rows in one loop."""
    dtype = carry[0].dtype
    choice = loop_choice.choose(inputs, differentiable)
    arguments: Any = tf.nest.map_structure(tf.convert_to_tensor, (choice.xs, carry, consts, weights))
    if choice.in_float32 and dtype in HALF_PRECISION:
        arguments = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32) if x.dtype == dtype else x, arguments)
    if not differentiable:
        stacks = graph_forward(DerivedStep(recurrence, vjp), *arguments, keep=False)[0]
    elif choice.compiled:
        loops = program_for(recurrence, consts, compiled_loops_of)
        xs, carry, consts, weights = arguments
        stacks = run_compiled(loops, xs, carry, consts, loops.recurrence.in_loop(weights), choice=choice)
    else:
        stacks = solve(GraphSolver(step_of(recurrence, vjp)), arguments)
    return [tf.cast(stack, dtype) for stack in stacks]


def run_compiled(loops, xs, carry, consts, weights, *, choice):
    """The compiled loops. Their program may be for more steps than there are: then these are zeros, and not run."""
    if choice.capacity is None:
        return solve(solver_of(loops), (xs, carry, consts, weights))
    length = tf.shape(tf.nest.flatten(xs)[0])[0]
    missing = choice.capacity - length
    padded = tf.nest.map_structure(lambda x: tf.pad(x, [[0, missing], *[[0, 0]] * (x.shape.rank - 1)]), xs)
    if isinstance(choice.capacity, int):  # tf.pad has lost what we know
        padded = tf.nest.map_structure(lambda x: tf.ensure_shape(x, [choice.capacity, *x.shape[1:]]), padded)
    stacks = solve(solver_of(loops, length), (padded, carry, consts, weights))
    return [stack[: choice.steps] for stack in stacks]


def compiled_loops_of(recurrence):
    step = step_of(recurrence, vjp)
    return CompiledLoops(step) if isinstance(step, WrittenStep) else TapedLoops(recurrence)


def solver_of(loops, length=None):
    return (TapedSolver if isinstance(loops, TapedLoops) else CompiledSolver)(loops, length)


def solve(solver, arguments):
    """The solver's stacks, with the solver's gradient, and for second derivatives the gradient of that."""

    @tf.custom_gradient
    def run(*flat):
        arrays = tf.nest.pack_sequence_as(arguments, list(flat))
        stacks, saved = solver.forward(*arrays)

        def gradient(*upstream):
            return first_order(solver, arrays, stacks, saved, list(upstream))

        return stacks, gradient

    return list(run(*tf.nest.flatten(arguments)))


def first_order(solver, arrays, stacks, saved, upstream):
    """The gradients of all arrays, flat; None for masks and resets."""
    flat = tf.nest.flatten(arrays)
    real = [i for i, x in enumerate(flat) if x.dtype.is_floating]

    @tf.custom_gradient
    def way_back(*arguments):
        *_, upstream = tf.nest.pack_sequence_as([flat, stacks], list(arguments))
        gradients = tf.nest.flatten(solver.gradient(arrays, stacks, saved, list(upstream)))

        def gradient(*d):
            return second_order(solver.recurrence, arrays, real, list(upstream), list(d))

        return [gradients[i] for i in real], gradient

    by_position = dict(zip(real, way_back(*flat, *upstream), strict=True))
    return [by_position.get(i) for i in range(len(flat))]


def second_order(recurrence, arrays: Any, real, upstream, d):
    """The gradients of `first_order`, by differentiating the plain loop twice: rarely needed, so not made fast."""
    flat = tf.nest.flatten(arrays)
    with tf.GradientTape() as outer:
        outer.watch([*flat, *upstream])
        with tf.GradientTape() as inner:
            inner.watch(flat)
            again: Any = tf.nest.pack_sequence_as(arrays, flat)
            stacks = graph_forward(DerivedStep(recurrence, vjp), *again, keep=False)[0]
        sources = [flat[i] for i in real]
        gradients = inner.gradient(stacks, sources, output_gradients=upstream, unconnected_gradients="zero")
    targets = [*sources, *upstream]
    second_gradients = outer.gradient(gradients, targets, output_gradients=d, unconnected_gradients="zero")
    by_position = dict(zip(real, second_gradients, strict=False))
    return [*(by_position.get(i) for i in range(len(flat))), *second_gradients[len(real) :]]


class GraphSolver:
    """Both loops in TensorFlow's own operations."""

    def __init__(self, step):
        self.step, self.recurrence = step, step.recurrence

    def forward(self, xs, carry, consts, weights):
        return graph_forward(self.step, xs, carry, consts, weights, keep=True)

    def gradient(self, arrays, stacks, saved, upstream):
        """The gradients of all four arguments, in their structure; None for masks."""
        xs, carry, consts, weights = arrays
        before = [before_steps(first, stack) for first, stack in zip(carry, stacks, strict=True)]
        d_carry, d = self.backward(xs, carry, consts, weights, stacks, before, saved, upstream)
        ran = [self.steps_that_ran(arrays) for arrays in (xs, saved, before, d)]
        d_consts, d_weights = self.step.after_loop(*ran, consts, weights)
        return {name: d["z"] if name == "z" else None for name in xs}, d_carry, d_consts, d_weights

    def steps_that_ran(self, arrays):
        """The arrays without the steps that a program holds room for and did not run."""
        return arrays

    def backward(self, xs, carry, consts, weights, stacks, before, saved, upstream):
        products = TransposedProducts(weights, transposes(weights, carry[0]))

        def step(now, adjoint):
            adjoint = [a + u for a, u in zip(adjoint, now["upstream"], strict=True)]
            arrays = (now["x"], now["saved"], now["before"], now["after"], adjoint)
            return self.step.backward(*arrays, consts, weights, products)

        steps = {
            "x": self.step.read_back(xs),
            "saved": saved,
            "before": before,
            "after": stacks,
            "upstream": upstream,
        }
        like = step(graph_loops.first_of(steps), carry)[1]
        return graph_loops.loop(step, steps, [tf.zeros_like(c) for c in carry], out_like=like, backwards=True)


class CompiledSolver(GraphSolver):
    """Both loops compiled by XLA; what is outside them, the products over all steps, in TensorFlow's operations."""

    def __init__(self, loops: CompiledLoops, length=None):
        super().__init__(loops.step)
        self.loops = loops
        self.length = length

    def steps_that_ran(self, arrays):
        return cut(arrays, self.length)

    def forward(self, xs, carry, consts, weights):
        return self.loops.forward(*untaped(xs, carry, consts, weights), steps_of(xs, self.length))

    def backward(self, xs, carry, consts, weights, stacks, before, saved, upstream):
        xs, transposed = self.step.read_back(xs), transposes(weights, carry[0])
        arrays = untaped(xs, carry, stacks, saved, upstream, consts, weights, transposed)
        return self.loops.backward(*arrays, steps_of(upstream, self.length))


class TapedSolver:
    """Compiled loops whose steps back are derived; the products of weight gradients in TensorFlow's operations."""

    def __init__(self, loops: TapedLoops, length=None):
        self.loops, self.recurrence, self.length = loops, loops.recurrence, length

    def forward(self, xs, carry, consts, weights):
        return self.loops.forward(*untaped(xs, carry, consts, weights), steps_of(xs, self.length))

    def gradient(self, arrays, stacks, saved, upstream):
        """The gradients of all four arguments, in their structure; None for masks."""
        xs, carry, consts, weights = arrays
        values, factors = saved
        constants = untaped(xs, carry, stacks, values, upstream, consts, weights, transposes(weights, carry[0]))
        (d_carry, d_consts, d_weights), (d_z, d_products) = self.loops.backward(*constants, steps_of(xs, self.length))
        d_weights = list(d_weights)
        for number, product in enumerate(self.loops.products):
            d = cut(d_products.get(number, d_z), self.length)
            left = factors.get(number)
            if product.carry is not None:
                left = before_steps(carry[product.carry], stacks[product.carry])
            d_weights[product.weight] += tf.matmul(rows(cut(left, self.length)), rows(d), transpose_a=True)
        return {name: d_z if name == "z" else None for name in xs}, d_carry, d_consts, d_weights


def before_steps(first, stack):
    """The carry before each step, of the first carry and the stack of those after each step."""
    return tf.concat([first[None], stack[:-1]], axis=0)


def cut(arrays, length):
    return arrays if length is None else tf.nest.map_structure(lambda x: x[:length], arrays)


def rows(x):
    return tf.reshape(x, [-1, x.shape[-1]])


def steps_of(xs, length):
    return tf.nest.flatten(xs)[0].shape[0] if length is None else length


def untaped(*arrays):
    """The arrays, of which no tape knows: the gradient is ours, and TensorFlow cannot derive one of a compiled loop
    for a second tape around the first."""
    return tf.nest.map_structure(lambda x: tf.stop_gradient(tf.convert_to_tensor(x)), arrays)


def graph_forward(step, xs, carry, consts, weights, *, keep: bool):
    """The carries after each step, stacked, and with `keep` the arrays that the way back needs."""

    def forward(x, carry):
        carry, saved = step.forward(x, carry, consts, weights)
        return carry, (carry, saved if keep else [])

    like = forward(graph_loops.first_of(xs), carry)[1]
    return graph_loops.loop(forward, xs, carry, out_like=like)[1]


def vjp(function, arguments, upstream):
    """The vector-Jacobian product of `function` at `arguments`, in their structure."""
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value = function(*arguments)
    return tape.gradient(value, arguments, output_gradients=upstream, unconnected_gradients="zero")
