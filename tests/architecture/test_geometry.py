"""Receptive fields checked against the tokenizer: change one pixel and see which cells change."""

import dataclasses

import numpy as np
import pytest
from conftest import tiny_config
from example_tokenizers import TOKENIZERS, reach

from cct_viz.architecture.config import ConvStage
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.architecture.presets import PRESETS

# In the added case, cells in the padding have windows without pixels.
WINDOWS = {
    **TOKENIZERS,
    "cells in the padding": tiny_config(
        image_size=(8, 9), tokenizer=(ConvStage(8, 1, padding=2, pool_zero_padding=0, pool_size=0),)
    ),
}


@pytest.mark.parametrize("config", WINDOWS.values(), ids=WINDOWS)
def test_windows_contain_exactly_the_pixels_a_cell_depends_on(config):
    for count, geometry in enumerate(stage_geometry(config), start=1):
        y0, x0, y1, x1 = np.moveaxis(geometry.windows, -1, 0)
        for y in range(config.image_size[0]):
            inside_rows = (y0 <= y) & (y < y1)
            for x in {0, 1, config.image_size[1] // 2, config.image_size[1] - 1}:
                inside = inside_rows & (x0 <= x) & (x < x1)
                np.testing.assert_array_equal(inside, reach(config, count, y, x), f"stage {count}, pixel {y}, {x}")


@pytest.mark.parametrize("config", WINDOWS.values(), ids=WINDOWS)
def test_changed_pixel_changes_only_tokens_with_it_in_their_window(config):
    from cct_viz.architecture.keras_model import ConvTokenizer

    tokenizer = ConvTokenizer(config)
    rng = np.random.default_rng(0)
    # Bright images and many random draws, so that each pixel passes every ReLU and max pool at least once.
    images = rng.random((6, *config.input_shape)).astype(np.float32)
    before = np.asarray(tokenizer(images).tokens)
    windows = stage_geometry(config)[-1].windows.reshape(-1, 4)
    for y, x in [(0, 0), (config.image_size[0] // 2, 3), (config.image_size[0] - 1, config.image_size[1] - 1)]:
        changed = images.copy()
        changed[:, y, x] += 40
        moved = (np.asarray(tokenizer(changed).tokens) != before).any(axis=(0, 2))
        sees = (windows[:, 0] <= y) & (y < windows[:, 2]) & (windows[:, 1] <= x) & (x < windows[:, 3])
        assert not (moved & ~sees).any()
        assert moved.any() == sees.any()


@pytest.mark.parametrize(
    ("config", "stride", "window", "first_centre"),
    [
        (PRESETS["keras_cct_cifar10"].config, 4, 13, 3.5),
        (dataclasses.replace(TOKENIZERS["official 3x2"], image_size=(32, 32)), 4, 13, 0.5),
        (TOKENIZERS["official 3x1"], 2, 5, 0.5),
        (TOKENIZERS["official 7x2 with stride"], 16, 51, 0.5),
    ],
)
def test_published_tokenizers_have_the_expected_centres(config, stride, window, first_centre):
    geometry = stage_geometry(config)[-1]
    assert geometry.stride == (stride, stride)
    assert geometry.window_size == (window, window)
    np.testing.assert_allclose(geometry.centres[:, 0, 0], first_centre + stride * np.arange(config.grid[0]))
    np.testing.assert_allclose(geometry.centres[0, :, 1], first_centre + stride * np.arange(config.grid[1]))


def test_geometry_is_read_only():
    with pytest.raises(ValueError, match="read-only"):
        stage_geometry(tiny_config())[0].windows[0, 0, 0] = 5
