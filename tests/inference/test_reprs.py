"""What a notebook or a debugger prints of a record is short, and says what it is."""

import dataclasses
import io
import pickle

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from PIL import Image

from cct_viz import checkpoints, explain, read_bundle
from cct_viz.images.decode import read_picture
from cct_viz.reports.bundle import write_bundle
from cct_viz.training.evaluate import evaluate


def test_every_record_is_a_line_or_two(tiny_classifier, tiny_folder, tmp_path):
    photo = np.zeros((12, 20, 3), np.uint8)
    trace = tiny_classifier.trace(photo)
    write_bundle(tiny_classifier, trace, tmp_path, methods=["seqpool"])
    from cct_viz.training.data import Images

    data = Images(photo[None], np.zeros(1, np.int64))
    records = [trace, *trace.stages, trace.readout_weights, trace.geometry, tiny_classifier, tiny_classifier.config]
    records += [explain(trace, "rollout"), checkpoints.read(tiny_folder), read_bundle(tmp_path), read_picture(photo)]
    records += [tiny_classifier.preprocess(photo), evaluate(tiny_classifier, data)]
    long = {type(record).__name__: len(repr(record)) for record in records if len(repr(record)) > 700}
    assert long == {}
    assert all(type(record).__name__ in repr(record) for record in records)


def test_the_reprs_say_what_matters(tiny_classifier):
    trace = tiny_classifier.trace(np.zeros((12, 20, 3), np.uint8))
    (label, p), *_ = trace.top(1)
    assert repr(trace).startswith(f"<Trace: {label} {p:.1%}, ")
    assert "3x5 tokens, 2 layers, 2 heads, 3 classes, sequence pooling" in repr(trace)
    assert "12x20 pixels, 3x5 tokens, 3 classes" in repr(tiny_classifier)
    assert "rollout, 3 of 3x5 tokens (readout, through layer 2, through layer 1)" in repr(explain(trace, "rollout"))
    assert "maps=float32 (3, 3, 5)" not in repr(trace.stages[0])
    assert "windows=int32 (6, 10, 4)" in repr(trace.stages[0])


def test_a_notebook_shows_the_photo_with_the_answer_and_the_maps_over_it(trace):
    trace = dataclasses.replace(trace, labels=("<b>a</b>", "b", "c"), note="it is <dark>")
    card = trace._repr_html_()
    assert "&lt;b&gt;a&lt;/b&gt;" in card
    assert "it is &lt;dark&gt;" in card
    assert "<script" not in card
    assert card.count("data:image/png;base64,") == 1
    heat = explain(trace, "seqpool")
    with Image.open(io.BytesIO(heat._repr_png_())) as picture:
        assert picture.format == "PNG"
    assert dataclasses.replace(heat, trace=None)._repr_png_() is None  # then a notebook prints the text


@pytest.mark.parametrize("method", ["seqpool", "rollout", "contribution"])
def test_maps_are_given_at_pixels_where_the_tokens_see_them(trace, method):
    heat = explain(trace, method)
    height, width = trace.pixels.shape[:2]
    field = heat.at_pixels((2 * height, 2 * width))  # pixel 2 y has its centre at y + 1/4
    assert field.shape == (len(heat.maps), 2 * height, 2 * width)
    assert field.dtype == np.float32
    for (y, x), cell in zip(trace.stages[-1].centres.reshape(-1, 2), np.ndindex(trace.grid), strict=True):
        near = field[:, int(2 * y) - 1 : int(2 * y) + 1, int(2 * x) - 1 : int(2 * x) + 1].mean(axis=(1, 2))
        np.testing.assert_allclose(near, heat.maps[:, *cell], atol=0.15 * float(np.ptp(heat.maps)))
    assert field.min() >= heat.maps.min() - 1e-6
    assert field.max() <= heat.maps.max() + 1e-6
    with pytest.raises(ValueError, match="height and a width of 1 or more"):
        heat.at_pixels((0, 5))
    with pytest.raises(ValueError, match="belong to no picture"):
        dataclasses.replace(heat, trace=None).at_pixels((5, 5))


def test_a_trace_goes_to_another_process_without_its_classifier(tiny_classifier):
    trace = tiny_classifier.trace(np.zeros((12, 20, 3), np.uint8))
    assert trace.classifier is tiny_classifier
    copy = pickle.loads(pickle.dumps(trace))
    assert copy.classifier is None
    np.testing.assert_array_equal(copy.logits, trace.logits)
    assert make_trace(tiny_config()).classifier is None
