"""The strongest patches: right for a set of pictures searched by hand, the same in parts, and safe to read."""

import io
import json

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from PIL import Image

from cct_viz.architecture.config import ConvStage
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.cli import main
from cct_viz.images.encode import jpeg
from cct_viz.images.preprocessing import Preprocessing
from cct_viz.methods.strongest import (
    COUNT,
    FILE,
    add_picture,
    cut_window,
    draw_patches,
    from_rows,
    no_patches,
    read_patches,
    to_rows,
    write_patches,
)


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (14, 12, 20, 3), dtype=np.uint8)


@pytest.fixture
def strongest(tiny_classifier, pictures):
    strongest = no_patches(tiny_classifier.config)
    for number, trace in enumerate(tiny_classifier.traces(pictures)):
        strongest = add_picture(strongest, trace, number)
    return strongest


def test_they_are_the_nine_largest_of_all_pictures(tiny_classifier, pictures, strongest):
    traces = list(tiny_classifier.traces(pictures))
    for stage, one in enumerate(strongest):
        maps = np.stack([trace.feature_maps[stage].reshape(-1, one.values.shape[0]) for trace in traces])  # (n, hw, C)
        for channel in range(maps.shape[-1]):
            best = maps[..., channel].max(axis=1)
            order = [i for i in np.argsort(-best, kind="stable")[:COUNT] if best[i] > 0]
            assert one.pictures[channel].tolist() == order + [-1] * (COUNT - len(order))
            np.testing.assert_array_equal(one.values[channel, : len(order)], best[order])
            np.testing.assert_array_equal(one.cells[channel, : len(order)], maps[order, :, channel].argmax(axis=1))
    assert any((one.pictures >= 0).all(axis=1).any() for one in strongest)  # else the test compares nothing


def test_parts_give_the_same_as_the_whole(tiny_classifier, pictures, strongest):
    whole, config = strongest, tiny_classifier.config
    parts = [no_patches(config), no_patches(config)]
    for number, trace in enumerate(tiny_classifier.traces(pictures)):
        parts[number // 7] = add_picture(parts[number // 7], trace, number)
    for one, first, second in zip(whole, *parts, strict=True):
        merged = first.merge(second)
        for name in ("values", "pictures", "cells"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(one, name))


def test_rows_give_the_same_patches(tiny_classifier, strongest):
    rows = to_rows(strongest)
    assert len({len(column) for column in rows.values()}) == 1
    assert len(rows["picture"]) == sum((one.pictures >= 0).sum() for one in strongest) > 0
    assert rows["picture"].min() >= 0
    for one, other in zip(strongest, from_rows(tiny_classifier.config, rows), strict=True):
        there = one.pictures >= 0
        for name in ("values", "pictures"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        np.testing.assert_array_equal(one.cells[there], other.cells[there])


@pytest.mark.parametrize(
    "changes", [{}, {"pool": "class_token"}, {"channels": 1, "preprocessing": Preprocessing((0.5,), (0.2,))}]
)
def test_any_model_has_sheets_and_negative_values_are_no_answer(changes):
    config = tiny_config(**changes)
    trace = make_trace(config)  # its feature maps have both signs
    strongest = add_picture(no_patches(config), trace, 7)
    for one, maps, sheet in zip(
        strongest, trace.feature_maps, draw_patches(config, strongest, [(7, trace.pixels)]), strict=True
    ):
        best = maps.reshape(-1, maps.shape[-1]).max(axis=0)
        np.testing.assert_array_equal(one.values[:, 0], np.maximum(best, 0))
        np.testing.assert_array_equal(one.pictures[:, 0], np.where(best > 0, 7, -1))
        assert not one.values[:, 1:].any()
        assert sheet.shape[0] % len(best) == 0


def test_a_window_is_what_can_change_its_cell(tiny_classifier, pictures):
    """Pixels in the window and in the picture are those of the geometry; the rest is grey."""
    numbered = (np.arange(12 * 20) + 1).astype(np.uint8).reshape(12, 20, 1).repeat(3, axis=2)  # 1 to 240, without 128
    numbered[numbered == 128] = 250
    for places in stage_geometry(tiny_classifier.config):
        for cell, (y0, x0, y1, x1) in enumerate(places.windows.reshape(-1, 4)):
            window = cut_window(numbered, places, cell)
            assert window.shape == (*places.window_size, 3)
            inside = numbered[y0:y1, x0:x1, 0].ravel()
            np.testing.assert_array_equal(window[..., 0][window[..., 0] != 128], inside)


def test_a_sheet_has_a_row_for_each_channel(tiny_classifier, pictures, strongest):
    sheets = draw_patches(tiny_classifier.config, strongest, enumerate(pictures))
    for sheet, one, places in zip(sheets, strongest, stage_geometry(tiny_classifier.config), strict=True):
        height, width = places.window_size
        assert sheet.shape == (one.values.shape[0] * height, COUNT * width, 3)
        for channel, rank in np.ndindex(one.values.shape):
            patch = sheet[channel * height : (channel + 1) * height, rank * width : (rank + 1) * width]
            number = one.pictures[channel, rank]
            if number < 0:
                assert (patch == 128).all()
            else:
                np.testing.assert_array_equal(patch, cut_window(pictures[number], places, one.cells[channel, rank]))


def test_evaluate_writes_sheets_that_are_read_beside_the_weights(tiny_folder, tiny_classifier, tmp_path, capsys):
    data, config = tmp_path / "data.npz", tiny_classifier.config
    x = np.random.default_rng(1).integers(0, 256, (12, 12, 20, 3), dtype=np.uint8)
    np.savez(data, x=x, y=np.arange(12) % 3)
    words = ["evaluate", "--model", str(tiny_folder), "--data", str(data), "--patches", str(tmp_path / "new"), "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 12
    files = read_patches(tmp_path / "new", config)
    assert len(files) == len(config.tokenizer)
    assert all(file and file.startswith(b"\xff\xd8") for file in files)
    assert read_patches(None, config) == read_patches(tmp_path, config) == [None, None]


def test_a_sheet_of_noise_is_written_whatever_its_size():
    """Pillow's optimised JPEG has a buffer of a byte a pixel, which noise in full colour does not fit into."""
    for shape in ((1280, 45, 3), (5, 45, 3), (6656, 117, 3)):
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        with Image.open(io.BytesIO(jpeg(noise))) as sheet:
            assert sheet.size == (shape[1], shape[0])


SMALL = jpeg(np.zeros((8, 8, 3), np.uint8))
SIZE = SMALL.index(b"\xff\xc0") + 5  # of height and width in the header
HUGE = SMALL[:SIZE] + b"\xff\xdc" * 2 + SMALL[SIZE + 4 :]  # 65,500 pixels each, more than Pillow opens


@pytest.mark.parametrize("content", [b"", b"no picture", SMALL, HUGE, b"\xff" * 21_000_000])
def test_a_damaged_sheet_counts_as_none(tmp_path, content, capsys):
    (tmp_path / FILE.format(2)).write_bytes(content)
    assert read_patches(tmp_path, tiny_config()) == [None, None]
    assert "is ignored: it is damaged, too large or of another model" in capsys.readouterr().err


def test_a_png_under_the_name_counts_as_none(tmp_path):
    config = tiny_config()
    height, width = stage_geometry(config)[0].window_size
    size = (COUNT * width, config.tokenizer[0].channels * height)
    Image.new("RGB", size).save(tmp_path / FILE.format(1), "PNG")
    assert read_patches(tmp_path, config)[0] is None
    Image.new("RGB", size).save(tmp_path / FILE.format(1), "JPEG")
    content = read_patches(tmp_path, config)[0]
    assert content
    (tmp_path / FILE.format(1)).write_bytes(content[: len(content) // 2])
    assert read_patches(tmp_path, config)[0] is None  # cut short


def test_a_window_may_lie_far_outside_of_the_picture():
    stage = ConvStage(6, padding=9, use_bias=True)
    (places,) = stage_geometry(tiny_config(tokenizer=(stage,)))
    for cell in range(places.windows.shape[0] * places.windows.shape[1]):
        assert cut_window(np.zeros((12, 20, 3), np.uint8), places, cell).shape == (*places.window_size, 3)


def test_a_sheet_that_is_too_tall_for_a_jpeg_is_left_out(tmp_path):
    assert [path.name for path in write_patches(tmp_path, [np.zeros((65_501, 9, 3), np.uint8)] * 2)] == []
