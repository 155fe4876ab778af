"""The descriptions of arguments that layers inherit, so that `help(rk.LSTM)` shows them too."""

from __future__ import annotations

from collections.abc import Iterable

ARGUMENTS = {
    "units": "width of the state.",
    "activation": "activation function of the candidate, and of the output where the equation has one there.",
    "recurrent_activation": "activation function of the gates.",
    "use_bias": "whether there is a bias.",
    "kernel_initializer": "initial values of the weights of the input.",
    "recurrent_initializer": "initial values of the weights of the state.",
    "bias_initializer": "initial values of the bias.",
    "unit_forget_bias": "start the bias of the forget gate at one.",
    "kernel_regularizer": "penalty on the weights of the input.",
    "recurrent_regularizer": "penalty on the weights of the state.",
    "bias_regularizer": "penalty on the bias.",
    "activity_regularizer": "penalty on the output.",
    "kernel_constraint": "projection of the weights of the input after each update.",
    "recurrent_constraint": "projection of the weights of the state after each update.",
    "bias_constraint": "projection of the bias after each update.",
    "dropout": "share of the inputs dropped in training; one mask serves a whole sequence.",
    "recurrent_dropout": "share of the state dropped in the recurrent product in training.",
    "seed": "seed of the dropout masks.",
    "return_sequences": "return the outputs of all steps, [batch, time, units], instead of the last.",
    "return_state": "return the last states after the output.",
    "go_backwards": "read from the last step to the first, and return the outputs in that order.",
    "stateful": "start each batch from the last states of the batch before it.",
    "unroll": "build each step with operations of its own, without a loop.",
    "reset_after": "reset after the recurrent product, as cuDNN does, or before it.",
    "use_cudnn": "'auto', True or False, as in Keras; True is kernel='cudnn'.",
    "projection": "width of the output, if it is to be narrower than the memory.",
    "kernel": "'auto' (the fastest that can run the layer), 'cudnn', 'hoisted' or 'scan'; see `rk.explain(model)`.",
    "learn_initial_state": "start from trained states instead of zeros.",
    "memory": "'keep', or 'checkpoint' for training with far less memory and somewhat more time.",
    "kwargs": "arguments of `keras.layers.RNN` and `keras.layers.Layer`: zero_output_for_mask, name, dtype, trainable.",
}


def documented(text: str, names: Iterable[str]) -> str:
    """The docstring with a list of the arguments before its example."""
    lines = [f"        {name}: {ARGUMENTS[name]}" for name in names if name in ARGUMENTS]
    before, mark, example = text.partition("    >>> ")
    return before + "    Arguments:\n" + "\n".join(lines) + "\n\n" + mark + example
