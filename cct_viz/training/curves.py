"""The learning curves of a training as a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..reports.palette import BLUE, ORANGE


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Plot loss and accuracy over the epochs of a history.json, for training and validation images, to a PNG file."""
    figure = Figure(figsize=(9, 3.5), dpi=100, layout="constrained")
    epochs = [entry["epoch"] for entry in history]
    for axes, name, title in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("loss (nats)", "accuracy"), strict=True):
        axes.plot(epochs, [entry["val_" + name] for entry in history], color=BLUE, label="validation images")
        axes.plot(epochs, [entry[name] for entry in history], color=ORANGE, lw=1, label="training images, augmented")
        axes.set(xlabel="epoch", title=title, ylim=(0, 1 if name == "accuracy" else None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png", metadata={"Software": None})
