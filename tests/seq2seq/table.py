"""Every way to build a decoder, and small models of them with random weights that are all different."""

import functools

import numpy as np

import keras_rnnkit as rk

SOURCES, TARGETS = 12, 9
SOURCE = np.array([[4, 5, 6, 0, 0], [7, 8, 9, 10, 11]], np.int32)
TARGET = np.array([[2, 4, 5, 3, 0], [2, 6, 8, 7, 3]], np.int32)
BEFORE, AFTER = np.where(TARGET[:, 1:] > 0, TARGET[:, :-1], 0), TARGET[:, 1:]

ATTENTIONS = {
    "additive": lambda: rk.attention.Additive(6),
    "dot": lambda: rk.attention.Dot(),
    "dot, scaled": lambda: rk.attention.Dot(scaled=True),
    "general": lambda: rk.attention.General(),
    "none": lambda: None,
}

DECODERS = {
    "additive": {"attention": "additive"},
    "dot": {"attention": "dot"},
    "dot, scaled": {"attention": "dot, scaled"},
    "general, fed": {"attention": "general", "input_feeding": True, "attention_size": 7},
    "general, conditioned": {"attention": "general", "condition": True},
    "fixed vector": {"attention": "none"},
    "fixed vector at every step": {"attention": "none", "condition": True, "bridge": "zeros"},
    "fixed vector, fed": {"attention": "none", "input_feeding": True, "condition": True},
}


QUICK = ["additive", "general, fed", "general, conditioned", "fixed vector at every step"]
"""The decoders that are no studies where each takes seconds: every kind of attention, bridge and feeding but Dot."""


@functools.cache
def shared_model(name):
    """The model of a name, made once, for tests that only read it."""
    return model_of(name)


def model_of(name, seed=0, deep=True, limit=None, **more):
    """Reads in both directions, writes with two layers of different cells."""
    known = {**DECODERS[name], **more}
    attention = ATTENTIONS[known.pop("attention")]()
    layers = [rk.LSTM(8), rk.cells.GRUCell(8)] if deep else [rk.GRU(8)]
    encoder = rk.Encoder(rk.Bidirectional(rk.LSTM(4)), vocabulary_size=SOURCES, embedding_dim=5)
    model = rk.Seq2Seq(encoder, rk.Decoder(layers, TARGETS, embedding_dim=3, attention=attention, **known), limit=limit)
    model((SOURCE, BEFORE))
    shake(model, seed)
    return model


def shake(model, seed, size=0.6):
    rng = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=tuple(weight.shape)).astype("float32") * size)
