"""Training with little memory: the states are kept at a few steps only, and the steps between are computed again."""

from __future__ import annotations

import math

import keras

from keras_rnnkit.kernels import loop_choice
from keras_rnnkit.kernels.loop_inputs import stacks_of
from keras_rnnkit.ops import keras as kops


def run(recurrence, steps, carry, consts, weights, keep_outputs: bool):
    """The carries after each step; without `keep_outputs` those after the last step only, a stack of one.

    About sqrt(T) segments of about sqrt(T) steps: the way forward keeps the carry between them, the way back runs
    each segment once more before it takes its gradient, so that the arrays of one segment exist at a time.
    """
    length = steps["x"].shape[0]
    if length is None:
        raise ValueError(
            "memory='checkpoint' cuts a sequence into segments and needs to know its length. Received: sequences of "
            "unknown length. Give the model its length with keras.Input((time, features)), or leave `memory` out."
        )
    cell = recurrence.cell
    if cell.adds_noise or cell.needs_all_steps:  # drawn or counted once for all steps, and not again on the way back
        steps = {**steps, "z": inputs_of_all_steps(recurrence, steps, carry, weights)}
        del steps["x"]

    pieces = []
    for piece in cut(steps, segment_size(length), length):
        carry, weights = one_segment_at_a_time(carry, weights)
        stacks = run_segment(recurrence, piece, carry, consts, weights, keep_outputs)
        carry = [stack[-1] for stack in stacks]
        pieces.append(stacks)
    pieces = pieces if keep_outputs else pieces[-1:]
    return [keras.ops.concatenate(stacks, axis=0) for stacks in zip(*pieces, strict=True)]


def run_segment(recurrence, steps, carry, consts, weights, keep_outputs: bool):
    name = "z" if "z" in steps else "x"
    flags = {n: array for n, array in steps.items() if n != name}  # TensorFlow recomputes for real numbers only

    def segment(numbers, carry, consts, weights):
        stacks = stacks_of(recurrence, {name: numbers, **flags}, carry, consts, weights, training=True)
        return stacks if keep_outputs else [last_of(stack) for stack in stacks]

    return recomputed(segment)(steps[name], carry, consts, weights)


def one_segment_at_a_time(carry, weights):
    """The same arrays. On the way back, no segment begins before the one behind it has its gradients of the weights.

    TensorFlow would start the loops of the next segment first, and keep the arrays of all segments for products that
    wait until the end.
    """
    if keras.backend.backend() != "tensorflow":
        return carry, weights
    import tensorflow as tf

    @tf.custom_gradient
    def run(*arrays):
        def gradient(*d):
            with tf.control_dependencies(d):
                return [tf.identity(x) for x in d]

        return [tf.identity(x) for x in arrays], gradient

    arrays = run(*map(tf.convert_to_tensor, (*carry, *weights)))  # in eager calls weights are variables
    return list(arrays[: len(carry)]), list(arrays[len(carry) :])


def last_of(stack):
    """The last array of a stack, as a stack of one. A slice in TensorFlow would keep the memory of the whole stack."""
    if keras.backend.backend() != "tensorflow":
        return stack[-1:]
    import tensorflow as tf

    @tf.custom_gradient
    def run(stack):
        before = tf.shape(stack)[0] - 1
        return tf.gather(stack, [before]), lambda d: tf.pad(d, [[before, 0], *[[0, 0]] * (stack.shape.rank - 1)])

    return run(stack)


def segment_size(length: int) -> int:
    """About the square root of the length, which makes segments and carries together smallest."""
    return max(math.ceil(math.sqrt(length)), loop_choice.SHORTEST_COMPILED)


def inputs_of_all_steps(recurrence, steps, carry, weights):
    w, states = recurrence.read(weights), recurrence.states(carry)
    return recurrence.cell.inputs(kops, w, steps["x"], states, training=True, mask=steps.get("mask"))


def cut(steps, size: int, length: int):
    """The arrays of each segment. One split, whose gradient is one concatenation, instead of a slice for each."""
    if length <= size:  # TensorFlow has no split into a single piece
        return [steps]
    places = list(range(size, length, size))
    pieces = keras.tree.map_structure(lambda x: keras.ops.split(x, places, axis=0), steps)
    return [keras.tree.map_structure_up_to(steps, lambda p, i=i: p[i], pieces) for i in range(len(places) + 1)]


def recomputed(function):
    """The function, whose values are computed again for its gradient instead of being kept."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.checkpoint(function)
    import tensorflow as tf

    return tf.recompute_grad(function)
