"""The payload: maps of every method, which the page draws without method-specific JavaScript."""

import base64
import json

import numpy as np
import pytest
from conftest import make_trace, tiny_config

from cct_viz.inference.trace import Heatmaps
from cct_viz.methods import METHODS, NotApplicable, describe, explain, takes
from cct_viz.web.payload import About, make_payload

TRACE_ONLY = [method for method in METHODS if not takes(method, "classifier")]


def decode(sent):
    return np.frombuffer(base64.b64decode(sent["data"]), sent["dtype"]).reshape(sent["shape"])


@pytest.mark.parametrize("pool", ["seqpool", "class_token"])
def test_payload_has_every_map_that_needs_only_the_trace(pool):
    trace = make_trace(tiny_config(pool=pool))
    sent = {entry["method"]: entry for entry in json.loads(make_payload(trace, About("tiny")))["maps"]}
    for method in TRACE_ONLY:
        try:
            heatmaps = explain(trace, method)
        except NotApplicable:
            assert method not in sent
            continue
        entry = sent.pop(method)
        np.testing.assert_array_equal(decode(entry["values"]), heatmaps.maps)
        np.testing.assert_array_equal(decode(entry["classShare"]), heatmaps.class_share)
        assert entry["names"] == list(heatmaps.names)
        assert (entry["signed"], entry["unit"]) == (heatmaps.signed, "logits" if heatmaps.signed else "share")
        assert entry["caption"] == describe(method)
        assert entry["checks"] == dict(heatmaps.checks)
    assert sent == {}


def test_new_method_is_in_the_payload_without_further_code(monkeypatch):
    def corner(trace):
        """The first token alone."""
        maps = np.eye(1, len(trace.tokens), dtype=np.float32).reshape(1, *trace.grid)
        return Heatmaps(maps, ("corner",), signed=False, method="corner", checks={})

    monkeypatch.setitem(METHODS, "corner", corner)
    last = json.loads(make_payload(make_trace(tiny_config()), About("tiny")))["maps"][-1]
    assert (last["method"], last["caption"], last["unit"]) == ("corner", "The first token alone.", "share")
