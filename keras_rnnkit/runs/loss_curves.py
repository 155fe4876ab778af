"""The losses of each model of a run over its epochs, a chart for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from keras_rnnkit.runs.reporting import figure_of, integer_ticks

History = list[dict[str, float]]


def plot_losses(histories: Mapping[str, tuple[str, History]], path: Path) -> None:
    """The loss after each epoch on training and validation data, a chart for each model.

    Arguments:
        histories: for each model the name of its loss, and the logs of its epochs.
        path: the file of the picture.
    """
    figure = figure_of(3.3 * max(2, len(histories)), 3.2)
    for axes, (model, (loss, history)) in zip(
        figure.subplots(1, len(histories), squeeze=False)[0], histories.items(), strict=True
    ):
        epochs = range(1, len(history) + 1)
        for name, label in (("loss", "training"), ("val_loss", "validation")):
            axes.plot(epochs, [row[name] for row in history], "o-", markersize=3, label=label)
        best = min(range(len(history)), key=lambda epoch: history[epoch]["val_loss"])
        axes.axvline(best + 1, color="grey", linestyle=":", linewidth=1, label="best weights")
        axes.set(xlabel="epoch", title=f"{model}: loss, {loss}", xlim=(0.5, len(history) + 0.5))
        integer_ticks(axes)
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
