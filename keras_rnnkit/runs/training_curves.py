"""The losses of one or more models over their epochs, in a picture that can be read on a phone."""

from __future__ import annotations

from pathlib import Path

from keras_rnnkit.runs.reporting import figure_of, integer_ticks

WIDTH, DPI = 6, 150
"""Inches and dots per inch: letters of 10 points stay readable where a page is 390 pixels wide."""


def plot_losses(
    histories: dict[str, list[dict[str, float]]], path: Path, unit: str = "nats", scale: float = 1.0
) -> None:
    """Draw the validation loss of every model, and dotted its training loss.

    Arguments:
        histories: the logs of every epoch, by the name of the model.
        path: the file of the picture.
        unit: of the loss.
        scale: what the losses are multiplied by, to be in that unit.
    """
    figure = figure_of(WIDTH, 3.6)
    axes = figure.subplots()
    for name, history in histories.items():
        epochs = range(1, len(history) + 1)
        (line,) = axes.plot(epochs, [scale * row["val_loss"] for row in history], "o-", markersize=3, label=name)
        axes.plot(epochs, [scale * row["loss"] for row in history], ":", color=line.get_color())
    axes.plot([], [], ":", color="grey", label="on the training data")
    axes.set(xlabel="epoch", ylabel=f"validation loss, {unit}")
    integer_ticks(axes)
    axes.grid(True, alpha=0.3)
    figure.legend(frameon=False, loc="outside upper center", ncols=2, fontsize=9)
    figure.savefig(path, dpi=DPI)
