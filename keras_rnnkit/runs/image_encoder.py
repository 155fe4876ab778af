"""The convolutional network that encodes the images of a captioner."""

from __future__ import annotations

from keras_rnnkit.settings import SettingsError

NETWORKS = {
    "mobilenet_v2": ("MobileNetV2", 2 / 255, -1.0),
    "inception_v3": ("InceptionV3", 2 / 255, -1.0),
    "xception": ("Xception", 2 / 255, -1.0),
    "efficientnet_b0": ("EfficientNetB0", 1.0, 0.0),
}
"""Networks of `keras.applications`: the class, and the scale and offset from pixels of 0 to 255 to its inputs."""


def network_of(name: str, size: int, weights: str | None = None, grey: float = 0.0, seed: int = 0):
    """A network from pixels, 0 to 255, to a grid of features.

    Arguments:
        name: "small", or a key of `NETWORKS`.
        size: height and width of the images.
        weights: a file of weights or "imagenet", which then stay as they are; None to train the network too.
        grey: how often an image is shown in grey in training.
        seed: seed of that choice.
    """
    import keras

    pixels = keras.Input((size, size, 3), name="pixels")
    x = keras.layers.RandomGrayscale(grey, seed=seed)(pixels) if grey else pixels
    if name == "small":
        x = keras.layers.Rescaling(2 / 255, -1.0)(x)
        for i, (filters, size, strides) in enumerate(((32, 5, 2), (64, 3, 1), (64, 3, 1), (64, 3, 1))):
            see = keras.layers.Conv2D(filters, size, strides, padding="same", activation="relu", name=f"see_{i}")
            x = see(x)
            x = keras.layers.MaxPooling2D(2)(x) if i in (1, 2) else x
        return keras.Model(pixels, x)
    kind, scale, offset = NETWORKS[name]
    x = keras.layers.Rescaling(scale, offset)(x)
    try:
        inner = getattr(keras.applications, kind)(include_top=False, weights=weights, input_shape=(size, size, 3))
    except Exception as error:
        raise SettingsError(
            f"The weights {weights!r} of {name} cannot be loaded: {str(error)[:200]}. Give a file of "
            "weights without the top, as Keras saves them, or leave --weights out to train it from random ones."
        ) from error
    inner.trainable = weights is None
    return keras.Model(pixels, inner(x))


def pooled(network):
    """The same network with a coarser grid, for decoders that read the whole grid as one vector: it is shorter then."""
    import keras

    if min(network.output.shape[1:3]) < 4:
        return network
    return keras.Model(network.input, keras.layers.MaxPooling2D(2)(network.output))
