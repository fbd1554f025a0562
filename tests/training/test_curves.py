"""The picture of a training."""

import numpy as np
from PIL import Image, ImageColor

from cct_viz.reports.palette import BLUE, ORANGE
from cct_viz.training.curves import draw_curves


def test_an_epoch_may_have_no_figures_of_the_validation_images(tmp_path):
    """As where an accelerator measures them in every fifth epoch."""
    validated = {"val_loss": 1.2, "val_accuracy": 0.6}
    history = [{"epoch": n, "loss": 2.0 / n, "accuracy": 0.2 * n} | (validated if n % 2 else {}) for n in (1, 2, 3)]
    draw_curves(history, tmp_path / "curves.png")
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    for colour in (BLUE, ORANGE):
        assert (pixels == ImageColor.getrgb(colour)).all(axis=-1).any()
