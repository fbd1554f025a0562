"""The evidence bundle: what is written adds up to the logits when read back, and damage is noticed."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import make_trace, tiny_config

from cct_viz.inference.classifier import Source
from cct_viz.methods import METHODS, takes
from cct_viz.reports.bundle import BundleError, read_bundle, write_bundle

FORWARD = [method for method in METHODS if not takes(method, "classifier")]
EXACT = 1e-5  # float32 logits of order 10


class Named:
    """The parts of a classifier that a bundle names; no method asked for here runs it."""

    def __init__(self, config):
        self.config = config
        self.source = Source("hub", "owner/name", "ab" * 32, "cd" * 20)


@pytest.mark.parametrize("pool", ["seqpool", "mean", "max", "class_token"])
def test_a_bundle_adds_up_when_read_back(tmp_path, pool):
    config = tiny_config(pool=pool)
    trace = make_trace(config)
    record = write_bundle(Named(config), trace, tmp_path / "out", methods=["evidence"])
    bundle = read_bundle(tmp_path / "out")
    assert bundle.record == record
    np.testing.assert_allclose(bundle.logits, trace.logits, atol=EXACT)
    assert bundle.error < EXACT
    assert record["resummed_error"] == pytest.approx(bundle.error, abs=1e-7)
    np.testing.assert_array_equal(bundle.arrays["attentions"], trace.attentions)


def test_the_manifest_says_what_with_and_how(tmp_path):
    config = tiny_config()
    options = {"alpha": "measured", "head_fusion": "max"}
    record = write_bundle(
        Named(config), make_trace(config), tmp_path, methods=["rollout", "seqpool"], target=2, options=options
    )
    assert record["model"] == {"kind": "hub", "name": "owner/name", "revision": "cd" * 20, "sha256": "ab" * 32}
    assert set(record["preprocessing"]) == {"mean", "std", "interpolation", "crop"}
    assert record["geometry"]["model_size"] == [12, 20]
    assert {"python", "numpy", "onnxruntime"} <= set(record["versions"])
    rollout = record["explanations"]["rollout"]
    assert rollout["options"] == {"head_fusion": "max", "alpha": "measured", "discard": 0.0, "readout": "model"}
    assert rollout["checks"]["rows sum to 1"] < 1e-6  # as the model's float32 softmax gave them
    assert record["explanations"]["seqpool"]["options"] == {}
    assert set(record["files"]) == {
        "rollout.png",
        "seqpool.png",
        "trace.npz",
        "feature_maps_0.png",
        "feature_maps_1.png",
    }


def test_only_files_of_this_run_are_listed(tmp_path):
    """A folder may hold the pictures of an earlier run, which are no part of this one."""
    config = tiny_config(pool="class_token")
    for name in ("feature_maps_7.png", "seqpool.png", "notes.txt"):
        (tmp_path / name).write_text("earlier")
    record = write_bundle(Named(config), make_trace(config), tmp_path, methods=["seqpool", "rollout"])
    assert set(record["files"]) == {"rollout.png", "trace.npz", "feature_maps_0.png", "feature_maps_1.png"}
    (tmp_path / "feature_maps_7.png").unlink()
    assert read_bundle(tmp_path).record == record


def test_nothing_is_written_when_a_map_fails(tmp_path):
    config = tiny_config()
    with pytest.raises(ValueError, match="head 9 does not exist"):
        write_bundle(
            Named(config), make_trace(config), tmp_path / "out", methods=["seqpool", "attention"], options={"head": 9}
        )
    assert not (tmp_path / "out").exists()


def test_options_nobody_has_are_refused(tmp_path):
    config = tiny_config()
    with pytest.raises(ValueError, match="none of seqpool, rollout has an option colour"):
        write_bundle(
            Named(config), make_trace(config), tmp_path, methods=["seqpool", "rollout"], options={"colour": "jet"}
        )


@pytest.fixture
def folder(tmp_path):
    config = tiny_config()
    write_bundle(Named(config), make_trace(config), tmp_path / "out", methods=["seqpool"])
    return tmp_path / "out"


def damage_arrays(folder):
    trace = dataclasses.replace(make_trace(tiny_config()), logits=np.zeros(3, np.float32))
    np.savez_compressed(folder / "trace.npz", contributions=trace.contributions, bias=trace.bias)


def edit_manifest(change):
    def edit(folder):
        record = json.loads((folder / "explanation.json").read_text())
        change(record)
        (folder / "explanation.json").write_text(json.dumps(record))

    return edit


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (damage_arrays, r"trace\.npz missing or not as written"),
        (lambda folder: (folder / "seqpool.png").unlink(), r"seqpool\.png missing"),
        (lambda folder: (folder / "explanation.json").write_text("{"), "no readable explanation"),
        (lambda folder: (folder / "explanation.json").unlink(), "no readable explanation"),
        (edit_manifest(lambda record: record.pop("logits")), "no readable explanation"),
        (edit_manifest(lambda record: record["files"].pop("trace.npz")), r"trace\.npz missing"),
        (edit_manifest(lambda record: record["files"].update({"../x": ""})), r"\.\./x missing"),
        (edit_manifest(lambda record: record["logits"].pop()), r"has \(2,\) logits"),
    ],
)
def test_damage_is_noticed(folder, harm, message):
    harm(folder)
    with pytest.raises(BundleError, match=message):
        read_bundle(folder)


def test_a_changed_logit_shows_as_an_error(folder):
    edit_manifest(lambda record: record["logits"].__setitem__(0, record["logits"][0] + 0.25))(folder)
    assert read_bundle(folder).error == pytest.approx(0.25, abs=EXACT)
