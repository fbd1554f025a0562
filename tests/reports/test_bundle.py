"""The evidence bundle: it gives the logits when read back, and changed files are detected."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import make_trace, tiny_config

from cct_viz.architecture.pools import POOLS
from cct_viz.inference.classifier import Source
from cct_viz.methods import METHODS, takes
from cct_viz.reports.bundle import BundleError, read_bundle, write_bundle

FORWARD = [method for method in METHODS if not takes(method, "classifier")]
EXACT = 1e-5  # float32 logits of order 10


class FakeClassifier:
    """The attributes of a classifier that a bundle records; no method in these tests runs it."""

    folder = None

    def __init__(self, config):
        self.config = config
        self.source = Source("hub", "owner/name", "ab" * 32, "cd" * 20)


@pytest.mark.parametrize("pool", POOLS)
def test_a_bundle_gives_the_logits_when_read_back(tmp_path, pool):
    config = tiny_config(pool=pool)
    trace = make_trace(config)
    record = write_bundle(FakeClassifier(config), trace, tmp_path / "out", methods=["evidence"])
    bundle = read_bundle(tmp_path / "out")
    assert bundle.record == record
    np.testing.assert_allclose(bundle.logits, trace.logits, atol=EXACT)
    assert bundle.error < EXACT
    assert record["resummed_error"] == pytest.approx(bundle.error, abs=1e-7)
    np.testing.assert_array_equal(bundle.arrays["attentions"], trace.attentions)


def test_the_manifest_records_model_versions_and_options(tmp_path):
    config = tiny_config()
    options = {"alpha": "measured", "head_fusion": "max"}
    record = write_bundle(
        FakeClassifier(config), make_trace(config), tmp_path, methods=["rollout", "seqpool"], target=2, options=options
    )
    assert record["model"] == {"kind": "hub", "name": "owner/name", "revision": "cd" * 20, "sha256": "ab" * 32}
    assert set(record["preprocessing"]) == {"mean", "std", "interpolation", "crop"}
    assert record["geometry"]["model_size"] == [12, 20]
    assert {"python", "numpy", "onnxruntime"} <= set(record["versions"])
    rollout = record["explanations"]["rollout"]
    assert rollout["options"] == {"head_fusion": "max", "alpha": "measured", "discard": 0.0, "readout": "model"}
    assert rollout["checks"]["rows sum to 1"] < 1e-6  # rounding of the model's float32 softmax
    assert record["explanations"]["seqpool"]["options"] == {}
    assert set(record["files"]) == {
        "rollout.png",
        "seqpool.png",
        "captions.tex",
        "trace.npz",
        "feature_maps_0.png",
        "feature_maps_1.png",
    }


def test_only_files_of_this_run_are_listed(tmp_path):
    """The folder may contain pictures of an earlier run, which do not belong to this bundle."""
    config = tiny_config(pool="class_token")
    for name in ("feature_maps_7.png", "seqpool.png", "notes.txt"):
        (tmp_path / name).write_text("earlier")
    record = write_bundle(FakeClassifier(config), make_trace(config), tmp_path, methods=["seqpool", "rollout"])
    assert set(record["files"]) == {
        "rollout.png",
        "captions.tex",
        "trace.npz",
        "feature_maps_0.png",
        "feature_maps_1.png",
    }
    (tmp_path / "feature_maps_7.png").unlink()
    assert read_bundle(tmp_path).record == record


def test_nothing_is_written_when_a_map_fails(tmp_path):
    config = tiny_config()
    with pytest.raises(ValueError, match="head 9 does not exist"):
        write_bundle(
            FakeClassifier(config),
            make_trace(config),
            tmp_path / "out",
            methods=["seqpool", "attention"],
            options={"head": 9},
        )
    assert not (tmp_path / "out").exists()


def test_options_that_no_method_has_are_refused(tmp_path):
    config = tiny_config()
    with pytest.raises(ValueError, match=r"no requested method \(seqpool, rollout\) has an option colour"):
        write_bundle(
            FakeClassifier(config),
            make_trace(config),
            tmp_path,
            methods=["seqpool", "rollout"],
            options={"colour": "jet"},
        )


@pytest.fixture
def folder(tmp_path):
    config = tiny_config()
    write_bundle(FakeClassifier(config), make_trace(config), tmp_path / "out", methods=["seqpool"])
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
        (damage_arrays, r"trace\.npz missing or changed since the bundle was written"),
        (lambda folder: (folder / "seqpool.png").unlink(), r"seqpool\.png missing"),
        (lambda folder: (folder / "explanation.json").write_text("{"), "no readable explanation"),
        (lambda folder: (folder / "explanation.json").unlink(), "no readable explanation"),
        (edit_manifest(lambda record: record.pop("logits")), "no readable explanation"),
        (edit_manifest(lambda record: record["files"].pop("trace.npz")), r"trace\.npz missing"),
        (edit_manifest(lambda record: record["files"].update({"../x": ""})), r"\.\./x missing"),
        (edit_manifest(lambda record: record["logits"].pop()), r"has logits \(2,\)"),
    ],
)
def test_damage_is_detected(folder, harm, message):
    harm(folder)
    with pytest.raises(BundleError, match=message):
        read_bundle(folder)


def test_a_changed_logit_gives_an_error_of_that_size(folder):
    edit_manifest(lambda record: record["logits"].__setitem__(0, record["logits"][0] + 0.25))(folder)
    assert read_bundle(folder).error == pytest.approx(0.25, abs=EXACT)
