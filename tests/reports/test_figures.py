"""Maps are drawn at their receptive fields, scales are explicit, and every map gives a picture."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from contract import FROM_WEIGHTS
from PIL import Image

from cct_viz.architecture.config import ConvStage
from cct_viz.inference.heatmaps import Heatmaps
from cct_viz.methods import METHODS, describe, explain, takes
from cct_viz.reports import figures as plots

OFFICIAL = tiny_config(
    tokenizer=(
        ConvStage(4, padding=1, pool_padding="valid", pool_zero_padding=1),
        ConvStage(8, padding=1, pool_padding="valid", pool_zero_padding=1),
    )
)


@pytest.mark.parametrize("config", [tiny_config(), OFFICIAL], ids=["keras_io", "official"])
def test_a_token_keeps_its_value_at_its_receptive_field_centre(config):
    trace = make_trace(config)
    centres = trace.stages[-1].centres
    values = np.random.default_rng(1).normal(size=centres.shape[:2])
    # With eight output pixels per model pixel, a centre at a multiple of 1/2 is 1/16 away from the two nearest pixels.
    height, width = config.image_size
    field = plots.project(trace, values, (8 * height, 8 * width))
    for (y, x), value in zip(centres.reshape(-1, 2), values.ravel(), strict=True):
        if 0.5 < y < height - 0.5 and 0.5 < x < width - 0.5:
            near = field[int(8 * y) - 1 : int(8 * y) + 1, int(8 * x) - 1 : int(8 * x) + 1]
            assert near.mean() == pytest.approx(value, abs=0.1 * np.ptp(values))


def test_projection_is_exact_between_centres(trace):
    """A map that is linear in the pixels is exact inside the outermost centres, and constant beyond them."""
    centres = trace.stages[-1].centres
    values = 2.0 * centres[..., 0] - 3.0 * centres[..., 1]
    height, width = trace.pixels.shape[:2]
    field = plots.project(trace, values, (height, width))
    y, x = np.mgrid[0:height, 0:width] + 0.5
    y, x = (np.clip(p, centres[..., i].min(), centres[..., i].max()) for i, p in enumerate((y, x)))
    np.testing.assert_allclose(field, 2 * y - 3 * x, atol=1e-9)


def test_projection_refuses_a_map_of_another_grid(trace):
    with pytest.raises(ValueError, match=r"\(5, 3\).*\(3, 5\)"):
        plots.project(trace, np.zeros((5, 3)), (12, 20))


@pytest.mark.parametrize("shape", [(12, 20), (300, 500), (750, 1250)])
def test_a_map_has_the_same_position_for_every_photo_size(trace, shape):
    trace = dataclasses.replace(trace, image=np.zeros((*shape, 3), np.uint8))
    values = np.zeros(trace.grid)
    values[1, 3] = 1.0
    picture = plots.overlay(trace, values, signed=False, limit=1.0, opacity=1.0, side=400)
    assert picture.shape == (240, 400, 3)
    y, x = np.unravel_index(picture.sum(axis=-1, dtype=int).argmax(), picture.shape[:2])
    expected = trace.stages[-1].centres[1, 3] * 20  # 400 pixels show 20 pixels of the model
    np.testing.assert_allclose((y + 0.5, x + 0.5), expected, atol=10)  # the peak's colour is flat for half a pixel


def test_opacity_0_shows_the_photo_and_a_signed_map_of_0_shows_it_in_grey(trace):
    photo = plots.enlarge(trace.image, 100)
    values = np.random.default_rng(0).random(trace.grid)
    assert (plots.overlay(trace, values, signed=False, limit=1.0, opacity=0.0, side=100) == photo).all()
    grey = plots.overlay(trace, 0 * values, signed=True, limit=1.0, opacity=1.0, side=100)
    luminance = np.asarray(Image.fromarray(photo).convert("L"), int)
    assert np.abs(grey - luminance[..., None]).max() <= 1  # Pillow rounds in steps of 1/65536
    assert (plots.overlay(trace, values, signed=False, limit=1.0, opacity=1.0, side=100) != photo).any()


def test_signed_colours_are_white_at_0_and_shares_get_lighter():
    signed = plots.colourise(np.array([-2.0, 0.0, 2.0]), signed=True, limit=1.0).astype(int)
    assert signed[1].min() > 240
    assert signed[0, 2] > signed[0, 0] + 100  # blue below 0
    assert signed[2, 0] > signed[2, 2] + 100  # orange above
    for over_photo in (False, True):
        shares = plots.colourise(np.linspace(0, 1, 9), signed=False, limit=1.0, over_photo=over_photo)
        luminance = shares @ np.array([0.299, 0.587, 0.114])
        assert (np.diff(luminance) > 0).all()


@pytest.mark.parametrize("limit", [-1.0, np.nan, np.inf])
def test_a_bad_colour_limit_is_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        plots.colourise(np.zeros(3), signed=True, limit=limit)


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0 everywhere"), (0.25, "constant"), (-0.5, "constant")], ids=["zero", "equal", "below"]
)
@pytest.mark.parametrize("signed", [False, True])
def test_a_constant_map_is_drawn_and_described(trace, value, words, signed):
    values = np.full(trace.grid, value)
    assert words in plots.describe_flat(values)
    maps = Heatmaps(values[None].astype(np.float32), ("flat",), signed=signed, method="seqpool")
    picture = plots.overlay(trace, values, signed=signed, limit=plots.scale_limit(maps))
    assert picture.dtype == np.uint8
    assert picture.std() > 1  # the photo is still visible
    plots.figure(trace, maps).savefig("/dev/null", format="png")


def test_an_all_negative_map_is_described():
    assert "negative" in plots.describe_flat(np.array([[-1.0, -2.0]]))
    assert plots.describe_flat(np.array([[-1.0, 2.0]])) == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [method for method in METHODS if not takes(method, "classifier") and method not in FROM_WEIGHTS]
)
def test_every_method_makes_a_figure_with_its_caption_and_checks(trace, method, tmp_path):
    trace = dataclasses.replace(trace, labels=("a $x$ b", "$", "<b>{y}</b>"))  # math and markup
    heatmaps = explain(trace, method, target=0)
    drawing = plots.figure(trace, heatmaps)
    for kind in ("png", "svg"):
        drawing.savefig(tmp_path / f"map.{kind}")
        assert (tmp_path / f"map.{kind}").stat().st_size > 5000
    caption = drawing.get_supxlabel()
    assert describe(method) in caption
    assert all(check in caption for check in heatmaps.checks)
    titles = [ax.get_title() for ax in drawing.axes]
    assert titles[0] == "photo"
    assert [title.split("\n")[0] for title in titles[1 : len(heatmaps.names) + 1]] == list(heatmaps.names)


def test_a_figure_says_what_to_know_of_its_map(trace):
    told = dataclasses.replace(explain(trace, "contribution", target=0), note="Know this.")
    assert "\nKnow this.\nChecked on this image: sums to the score" in plots.figure(trace, told).get_supxlabel()
    unchecked = dataclasses.replace(told, checks={}, note="")
    assert plots.figure(trace, unchecked).get_supxlabel().endswith("\nThis map has no identity to check.")


def test_figures_do_not_import_pyplot():
    code = "import cct_viz.reports.figures, sys; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
