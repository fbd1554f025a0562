"""The payload: maps of every method, which the page draws without method-specific JavaScript."""

import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from PIL import Image

from cct_viz.inference.heatmaps import Heatmaps
from cct_viz.methods import METHODS, NotApplicable, describe, explain, takes
from cct_viz.methods.attention import FUSIONS
from cct_viz.web import payload
from cct_viz.web.payload import make_payload

TRACE_ONLY = [method for method in METHODS if not takes(method, "classifier")]


def decode(sent):
    return np.frombuffer(base64.b64decode(sent["data"]), sent["dtype"]).reshape(sent["shape"])


@pytest.mark.parametrize("pool", ["seqpool", "class_token"])
def test_payload_has_every_map_that_needs_only_the_trace(pool):
    trace = make_trace(tiny_config(pool=pool))
    sent = {entry["method"]: entry for entry in json.loads(make_payload(trace))["maps"]}
    for method in TRACE_ONLY:
        try:
            heatmaps = explain(trace, method)
        except NotApplicable:
            assert method not in sent
            continue
        entry = sent.pop(method)
        np.testing.assert_array_equal(decode(entry["values"]), heatmaps.maps)
        assert entry["names"] == list(heatmaps.names)
        assert (entry["signed"], entry["unit"]) == (heatmaps.signed, "logits" if heatmaps.signed else "share")
        assert entry["caption"] == describe(method)
    assert sent == {}


def test_new_method_is_in_the_payload_without_further_code(monkeypatch):
    def corner(trace):
        """The first token alone."""
        maps = np.eye(1, len(trace.tokens), dtype=np.float32).reshape(1, *trace.grid)
        return Heatmaps(maps, ("corner",), signed=False, method="corner", checks={})

    monkeypatch.setitem(METHODS, "corner", corner)
    last = json.loads(make_payload(make_trace(tiny_config())))["maps"][-1]
    assert (last["method"], last["caption"], last["unit"]) == ("corner", "The first token alone.", "share")


def test_a_large_attention_is_sent_fused_over_its_heads_and_without_maps(monkeypatch):
    trace = make_trace(tiny_config())
    monkeypatch.setattr(payload, "MAX_ATTENTION_BYTES", 2 * trace.attentions.size - 1)
    monkeypatch.setattr(payload, "MOST_ATTENTIONS", trace.attentions.size - 1)
    sent = json.loads(make_payload(trace))
    assert (sent["attentions"], sent["maps"]) == (None, [])
    assert sent["fused"].keys() == FUSIONS.keys()
    for name, fuse in FUSIONS.items():
        expected = fuse(trace.attentions.astype(np.float64), axis=1)
        np.testing.assert_allclose(decode(sent["fused"][name]), expected, rtol=2**-11, atol=2**-25)  # of float16
    monkeypatch.undo()
    assert json.loads(make_payload(trace))["fused"] is None


@pytest.mark.parametrize(
    ("shape", "kind", "size"),
    [((96, 60), "PNG", (60, 96)), ((97, 60), "JPEG", (60, 97)), ((1024, 300), "JPEG", (150, 512))],
)
def test_the_photo_is_unchanged_if_it_is_small_else_a_reduced_jpeg(shape, kind, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    trace = dataclasses.replace(make_trace(tiny_config()), image=pixels)
    start, _, data = json.loads(make_payload(trace))["photo"].partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert (start, picture.format, picture.size) == (f"data:image/{kind.lower()};base64", kind, size)
    if kind == "PNG":
        np.testing.assert_array_equal(np.asarray(picture), pixels)
