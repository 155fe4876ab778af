"""A model that reads an image patch by patch and says after each what the image shows, and where to look next."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_rnnkit.data.patches import patch_table, patches_at, scan_order
from keras_rnnkit.runs.recurrent import layer_of

NEVER = 1e9
"""What is taken from the score of a place that was looked at before."""


class GlimpseReader(keras.Model):
    """Images [B, S, S] to probabilities of labels after each glimpse [B, T, labels].

        x_t   = relu(W_p patch_t + E[place_t])
        h_t   = RNN(x_t, h_{t-1})
        label = softmax(W_l h_t)         place_{t+1} ~ softmax(W_n h_t), over the places not looked at yet

    Without an order, the first place is in the middle. The others are drawn from this policy in training, and are the
    most likely ones otherwise. The policy is trained by REINFORCE: what a choice earns is the mean of the probabilities
    of the right label after it, and a learned baseline W_b h_t is subtracted.

    Paper: V. Mnih et al., Recurrent models of visual attention, 2014. There, places are points drawn from a normal
    distribution around the network's output, glimpses have several resolutions, and a right label at the end is what
    is rewarded. Here, places are patches of a grid, so that the pixels that were seen can be counted.

    Arguments:
        labels: the number of labels.
        size, patch: height and width of images and of patches.
        order: the places of the glimpses, the same for all images; None where the model chooses.
        glimpses: how many glimpses a model that chooses has.
        judged: "all" trains the labels after every glimpse, "last" those after the last one.
        cell, layers, units, embedding: of the recurrent layers, and the features x_t of a glimpse.
        dropout: dropout rate before the labels.
        explore: weight of the policy's entropy.
        seed: seed of dropout, of drawn places and of the small shifts of training images.
    """

    def __init__(
        self,
        labels: int,
        size: int,
        patch: int,
        order: np.ndarray | None = None,
        glimpses: int = 6,
        judged: str = "all",
        cell: str = "gru",
        layers: int = 1,
        units: int = 128,
        embedding: int = 64,
        dropout: float = 0.0,
        explore: float = 0.0,
        seed: int = 0,
    ):
        super().__init__(name="glimpses")
        self.size, self.patch, self.side, self.order = size, patch, size // patch, order
        self.glimpses = glimpses if order is None else len(order)
        self.judged, self.explore = judged, explore
        self.seeds = keras.random.SeedGenerator(seed)
        self.shift = shifts(seed)
        self.patch_features = keras.layers.Dense(embedding, name="patch_features")
        self.place_features = keras.layers.Embedding(self.side**2, embedding, name="place_features")
        self.memory = [layer_of(cell, units, return_state=True, name=f"memory_{i}") for i in range(layers)]
        self.drop = keras.layers.Dropout(dropout, seed=seed)
        self.label = keras.layers.Dense(labels, activation="softmax", dtype="float32", name="label")
        if order is None:
            self.next = keras.layers.Dense(self.side**2, dtype="float32", name="next")
            self.baseline = keras.layers.Dense(1, dtype="float32", name="baseline")

    def build(self, input_shape):
        self.shift.build((None, self.size, self.size, 1))
        self.of_glimpses()

    # ------------------------------------------------------------------ reading

    def read(self, patches, places, states=None, training=False):
        """What the model says after each of some glimpses, and the states of its layers.

        Arguments:
            patches, places: [B, T, patch^2] with values 0 to 255, and [B, T].
            states: those after the glimpses before; None at the beginning.
        """
        h = ops.relu(self.patch_features(patches * (2 / 255) - 1.0) + self.place_features(places))
        after = []
        for layer, state in zip(self.memory, states or [None] * len(self.memory), strict=True):
            h, *state = layer(h, initial_state=state, training=training)
            after.append(state)
        outputs = {"label": self.label(self.drop(h, training=training))}
        if self.order is None:
            outputs["next"] = self.next(h)
            outputs["baseline"] = self.baseline(ops.stop_gradient(h))[..., 0]
        return outputs, after

    def call(self, images, training=False):
        images = ops.cast(images, "float32")
        if training:
            images = self.shift(images[..., None], training=True)[..., 0]
        places = self.places(images, training)
        outputs, _ = self.read(patches_at(images, places, self.patch), places, training=training)
        return outputs | {"places": places}

    def places(self, images, training):
        """Where each image is looked at [B, T]."""
        if self.order is not None:
            return ops.tile(ops.convert_to_tensor(self.order[None], "int32"), (ops.shape(images)[0], 1))
        table = patch_table(images, self.patch)
        place = ops.zeros_like(table[:, 0, 0], "int32") + int(scan_order(self.side)[0])
        places, states, seen = [place], None, 0.0
        while len(places) < self.glimpses:
            patch = ops.take_along_axis(table, place[:, None, None], axis=1)
            outputs, states = self.read(patch, place[:, None], states)
            seen = seen + ops.one_hot(place, self.side**2)
            scores = outputs["next"][:, 0] - NEVER * seen
            draw = keras.random.categorical(scores, 1, seed=self.seeds)[:, 0] if training else ops.argmax(scores, -1)
            place = ops.cast(draw, "int32")
            places.append(place)
        return ops.stop_gradient(ops.stack(places, axis=1))

    # ------------------------------------------------------------------ loss

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        p = ops.take_along_axis(y_pred["label"], ops.cast(y, "int32")[:, None, None], axis=-1)[..., 0]
        nats = -ops.log(ops.maximum(p, 1e-7))
        loss = ops.mean(nats[:, -1] if self.judged == "last" else nats)
        return loss + self.policy_loss(p, y_pred) if self.order is None and training else loss

    def policy_loss(self, p, y_pred):
        """REINFORCE with a baseline. p: the probabilities of the right label [B, T]."""
        steps = self.glimpses - 1
        later = ops.flip(ops.cumsum(ops.flip(p[:, 1:], 1), axis=1), 1) / ops.arange(steps, 0, -1, dtype="float32")
        advantage = ops.stop_gradient(later) - y_pred["baseline"][:, :-1]
        seen = ops.cumsum(ops.one_hot(y_pred["places"], self.side**2), axis=1)
        log_policy = ops.log_softmax((y_pred["next"] - NEVER * seen)[:, :-1])
        chosen = ops.take_along_axis(log_policy, y_pred["places"][:, 1:, None], axis=-1)[..., 0]
        entropy = -ops.sum(ops.exp(log_policy) * ops.maximum(log_policy, -NEVER / 2), axis=-1)
        gain = chosen * ops.stop_gradient(advantage) + self.explore * entropy
        return ops.mean(0.5 * ops.square(advantage) - gain)

    # ------------------------------------------------------------------ export

    def of_glimpses(self):
        """The model to export: patches and their places to labels and, where it chooses, to scores of the next places.

        The image stays with the caller, who looks where the scores are highest, so that each glimpse is a step of a
        stream.
        """
        patches = keras.Input((None, self.patch**2), name="patches")
        places = keras.Input((None,), dtype="int32", name="places")
        outputs, _ = self.read(patches, places)
        return keras.Model([patches, places], {name: outputs[name] for name in ("label", "next") if name in outputs})


def shifts(seed: int):
    """Small random shifts and turns of training images."""
    layers = keras.layers
    return keras.Sequential(
        [
            layers.RandomTranslation(0.06, 0.06, fill_mode="nearest", seed=seed),
            layers.RandomRotation(0.02, fill_mode="nearest", seed=seed + 1),
        ],
        name="shifts",
    )


def small_network(labels: int, size: int, dropout: float, seed: int):
    """A convolutional network that sees all pixels: images [B, S, S] to probabilities [B, labels]."""
    layers = keras.layers
    images = keras.Input((size, size), name="images")
    x = layers.Rescaling(2 / 255, -1.0)(shifts(seed)(layers.Reshape((size, size, 1))(images)))
    x = layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(2)(layers.Conv2D(32, 3, padding="same", activation="relu")(x))
    x = layers.Dense(128, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(dropout, seed=seed)(x)
    return keras.Model(images, layers.Dense(labels, activation="softmax", dtype="float32")(x), name="cnn")


def looked(
    bundle: Any, images: np.ndarray, patch: int, glimpses: int, order: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Look at images through a bundle: labels [N, T, labels] after each glimpse, and the places [N, T].

    Each glimpse is one step of a stream. The next place is the one with the highest score that was not looked at yet.

    Arguments:
        bundle: the bundle, as `keras_rnnkit.runtime.load` returns it.
        images: [N, S, S] with values 0 to 255.
        patch: height and width of a patch.
        glimpses: how often to look.
        order: the places, where they are the same for all images; None to follow the scores.
    """
    table = np.asarray(patch_table(images.astype("float32"), patch))
    rows, stream = np.arange(len(images)), bundle.stream(rows=len(images))
    place = np.full(len(images), scan_order(images.shape[-1] // patch)[0] if order is None else order[0])
    seen, labels, places = np.zeros(table.shape[:2], bool), [], []
    for step in range(glimpses):
        outputs = stream.push({"patches": table[rows, place][:, None], "places": place[:, None].astype("int32")})
        outputs = outputs if isinstance(outputs, dict) else {"label": outputs}
        labels.append(outputs["label"][:, 0])
        places.append(place)
        seen[rows, place] = True
        if step + 1 < glimpses:
            scores = np.where(seen, -np.inf, outputs["next"][:, 0]) if order is None else None
            place = np.full(len(images), order[step + 1]) if scores is None else scores.argmax(-1)  # type: ignore[index]
    return {"label": np.stack(labels, 1), "places": np.stack(places, 1)}
