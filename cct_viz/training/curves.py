"""The learning curves of a training as a PNG file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ..reports.palette import BLUE, ORANGE


def draw_curves(history: list[dict[str, Any]], path: Path) -> None:
    """Plot loss and accuracy over the epochs of a history.json, for training and validation images, to a PNG file.

    An epoch may have no figures of the validation images.
    """
    figure = Figure(figsize=(9, 3.5), dpi=100, layout="constrained")
    for axes, name, title in zip(figure.subplots(1, 2), ("loss", "accuracy"), ("loss (nats)", "accuracy"), strict=True):
        for key, label, style in (
            (f"val_{name}", "validation images", {"color": BLUE}),
            (name, "training images, augmented", {"color": ORANGE, "lw": 1}),
        ):
            measured = [entry for entry in history if key in entry]
            axes.plot([entry["epoch"] for entry in measured], [entry[key] for entry in measured], label=label, **style)
        axes.set(xlabel="epoch", title=title, ylim=(0, 1 if name == "accuracy" else None))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png", metadata={"Software": None})
