"""Models that leave for other programs: what PyTorch, ONNX Runtime and Keras compute from the written files."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import tiny_config, write_random_checkpoint
from official_reference import NAMES, assert_agrees, load_reference, read_state

from cct_viz import checkpoints
from cct_viz.architecture.config import CCTConfig, ConvStage, numbered_labels
from cct_viz.checkpoints import CheckpointError, safetensors
from cct_viz.checkpoints.convert import METADATA, convert
from cct_viz.checkpoints.pytorch.official import from_canonical
from cct_viz.checkpoints.pytorch.outgoing import check_expressible, describe_call
from cct_viz.cli import main

CCT = CCTConfig(
    image_size=(16, 16),
    tokenizer=(ConvStage(64, 3, 1, 1), ConvStage(32, 3, 1, 1)),
    num_layers=2,
    num_heads=4,
    key_dim=8,
    mlp_dim=40,
    labels=("cat", "dog", "owl"),
    block="official",
    qkv_bias=False,
)
PATCHES = (ConvStage(32, 4, 4, use_bias=True, relu=False, pool_size=0),)
# What the paper's code can build, and the arguments of the tests' own model in PyTorch.
FORMS = {
    "CCT": (CCT, {"hidden": (64,), "layers": 2, "heads": 4, "inner": 40, "classes": 3}),
    "one convolution of 7": (
        dataclasses.replace(CCT, tokenizer=(ConvStage(32, 7, 2, 3),), num_layers=1),
        {"kernel": 7, "stride": 2, "padding": 3, "heads": 4, "inner": 40, "classes": 3},
    ),
    "no position": (
        dataclasses.replace(CCT, position="none", num_layers=1),
        {"hidden": (64,), "heads": 4, "inner": 40, "classes": 3, "position": "none"},
    ),
    "CVT": (
        dataclasses.replace(CCT, tokenizer=PATCHES, num_layers=1),
        {"kernel": 4, "patches": True, "heads": 4, "inner": 40, "classes": 3},
    ),
    "ViT-Lite": (
        dataclasses.replace(CCT, tokenizer=PATCHES, num_layers=1, pool="class_token"),
        {"kernel": 4, "patches": True, "class_token": True, "heads": 4, "inner": 40, "classes": 3},
    ),
    "one logit": (
        dataclasses.replace(CCT, num_layers=1, labels=("ill",), output="sigmoid"),
        {"hidden": (64,), "heads": 4, "inner": 40, "classes": 1},
    ),
}


@pytest.fixture
def folder(tmp_path):
    return write_random_checkpoint(tmp_path / "model", CCT)


def logits_of(checkpoint, images):
    from cct_viz.architecture.keras_model import build_model

    model = build_model(checkpoint.config)
    checkpoints.assign(model, checkpoint.weights)
    return np.asarray(model(images))


# ---- PyTorch


@pytest.mark.parametrize(("config", "arguments"), FORMS.values(), ids=FORMS)
def test_a_pth_loads_strictly_and_gives_the_logits(torch, tmp_path, config, arguments):
    import compact_torch

    source = write_random_checkpoint(tmp_path / "model", config)
    checkpoint = convert(source, tmp_path / "out.pth")
    model = compact_torch.CompactTransformer(size=config.image_size, **arguments).eval()
    model.load_state_dict(torch.load(tmp_path / "out.pth", weights_only=True), strict=True)
    images = np.random.default_rng(0).normal(size=(2, *config.input_shape)).astype(np.float32)
    assert_agrees(logits_of(checkpoint, images), compact_torch.torch_logits(model, images), "logits")
    card = (tmp_path / "out.md").read_text()
    assert describe_call(config) in card
    assert f"Classes, in order: {', '.join(config.labels)}." in card


@pytest.mark.parametrize("name", NAMES)
def test_names_and_shapes_are_those_of_the_papers_code(name):
    config, state, _ = load_reference(name)
    back = from_canonical(read_state(state, config).weights, config)
    assert {n: a.shape for n, a in back.items()} == {n: a.shape for n, a in state.items()}
    for key, array in state.items():
        np.testing.assert_array_equal(back[key], array)


def test_a_pth_comes_back_unchanged(torch, folder, tmp_path):
    convert(folder, tmp_path / "out.pth")
    again, first = checkpoints.read(tmp_path / "out.pth"), checkpoints.read(folder)
    for name, array in first.weights.items():
        np.testing.assert_array_equal(again.weights[name], array)


def test_the_call_of_the_papers_code_is_in_the_card():
    assert describe_call(CCT) == (
        "CCT(img_size=16, embedding_dim=32, n_input_channels=3, kernel_size=3, n_conv_layers=2, stride=1, padding=1, "
        "num_layers=2, num_heads=4, mlp_ratio=1.25, num_classes=3, positional_embedding='learnable')"
    )
    vit = FORMS["ViT-Lite"][0]
    assert describe_call(vit).startswith(
        "ViTLite(img_size=16, embedding_dim=32, n_input_channels=3, kernel_size=4, num"
    )
    for inner in range(1, 200):  # the paper's code cuts width x ratio to a whole number
        call = describe_call(dataclasses.replace(CCT, mlp_dim=inner))
        assert int(32 * float(call.split("mlp_ratio=")[1].split(",")[0])) == inner


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block": "pre_norm"}, "block 'official'"),
        ({"pool": "mean"}, "SeqPool or a class token"),
        ({"pool": "class_token"}, "a class token with patches only"),
        ({"activation": "gelu_tanh"}, "an exact GELU"),
        ({"image_size": (16, 32)}, "square images"),
        (
            {"tokenizer": (ConvStage(48, 3, 1, 1), ConvStage(32, 3, 1, 1))},
            "64 channels in all convolutions but the last",
        ),
        ({"tokenizer": (ConvStage(64, 5, 1, 2), ConvStage(32, 3, 1, 1))}, "one kernel size, stride and padding"),
        ({"tokenizer": PATCHES, "image_size": (18, 18)}, "images that whole patches cover"),
        ({"tokenizer": PATCHES * 2}, "one layer of patches"),
    ],
)
def test_what_the_papers_code_cannot_build_is_refused_in_one_sentence(tmp_path, changes, message):
    folder = write_random_checkpoint(tmp_path / "model", dataclasses.replace(CCT, **changes))
    with pytest.raises(CheckpointError, match=f"paper's code.*{message}"):
        convert(folder, tmp_path / "out.pth")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_published_presets_can_all_go_out():
    from cct_viz.architecture.presets import PRESETS, PUBLISHED

    for name in PUBLISHED.values():
        check_expressible(PRESETS[name].config)


# ---- ONNX


@pytest.mark.slow
def test_an_onnx_file_has_named_outputs_and_its_configuration(folder, tmp_path):
    import onnxruntime

    assert main(["convert", str(folder), "--out", str(tmp_path / "out.onnx")]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx")
    names = [output.name for output in session.get_outputs()]
    assert {"logits", "pooling_weights", "attentions_0", "attentions_1", "representation"} <= set(names)
    images = np.random.default_rng(0).normal(size=(2, *CCT.input_shape)).astype(np.float32)
    tokens = np.ones((2, CCT.num_tokens), np.float32)
    (logits,) = session.run(["logits"], {"images": images, "token_mask": tokens})
    assert_agrees(logits, logits_of(checkpoints.read(folder), images), "logits")
    stored = session.get_modelmeta().custom_metadata_map[METADATA]
    assert CCTConfig.from_dict(json.loads(stored)) == CCT
    card = (tmp_path / "out.md").read_text()
    assert "`token_mask`, float32\n(batch, 16)" in card
    assert "Classes, in order: cat, dog, owl." in card


# ---- names of results


@pytest.mark.parametrize("name", ["out.safetensors", "out.pt", "out.h5", "model.best", "OUT.ZIP", "a.b.c"])
def test_an_unknown_suffix_is_refused_and_never_a_folder(folder, tmp_path, name):
    with pytest.raises(CheckpointError, match=r"cannot be written; choose \.keras, \.pth, \.onnx, or a folder"):
        convert(folder, tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["plain", "model.v2", "cct.2", "2026.11.27", ".hidden"])
def test_names_without_a_suffix_and_with_a_version_are_folders(folder, tmp_path, name):
    convert(folder, tmp_path / name)
    assert checkpoints.read(tmp_path / name).config == CCT


def test_an_empty_folder_may_have_any_name(folder, tmp_path):
    (tmp_path / "my.model").mkdir()
    convert(folder, tmp_path / "my.model")
    assert checkpoints.read(tmp_path / "my.model").config == CCT


@pytest.mark.parametrize("existing", ["out.pth", "out.md"])
def test_nothing_is_overwritten(folder, tmp_path, existing):
    (tmp_path / existing).write_text("mine")
    with pytest.raises(CheckpointError, match=f"{existing} already exists"):
        convert(folder, tmp_path / "out.pth")
    assert (tmp_path / existing).read_text() == "mine"


@pytest.mark.slow
def test_a_keras_file_has_a_card(tmp_path):
    folder = write_random_checkpoint(tmp_path / "model", tiny_config(num_layers=1))
    convert(folder, tmp_path / "out.keras")
    card = (tmp_path / "out.md").read_text()
    assert "`keras.saving.load_model`" in card
    assert "12x20 pixels, divided by 255, minus the mean 0 0 0" in card


# ---- memory


MEASURE = """
import re, resource, sys
from cct_viz.cli import main
status = main(["convert", sys.argv[1], "--out", sys.argv[2], "--json"])
own = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
print(status, max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


def peak_memory(source, out):
    """The largest resident memory of a process that converts `source`, or of its child, in bytes."""
    child = subprocess.run([sys.executable, "-c", MEASURE, source, out], capture_output=True, text=True, check=True)
    status, kilobytes = map(int, child.stdout.splitlines()[-1].split())
    assert status == 0, child.stderr
    return kilobytes * 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says a process's own peak")
@pytest.mark.parametrize("writer", ["pth", "before 1.6", "safetensors"])
def test_conversion_needs_less_than_four_times_the_file(torch, tmp_path, writer):
    """With up to 600 MB for the libraries, a file of 100 MB then stays under 1 GB."""
    import compact_torch
    from safetensors.torch import save_file

    sizes, peaks = [], []
    for name, inner in (("small", 64), ("large", 58_000)):
        state = compact_torch.CompactTransformer(dim=64, inner=inner).state_dict()
        if writer == "safetensors":
            save_file(state, tmp_path / name)
        else:
            torch.save(state, tmp_path / name, _use_new_zipfile_serialization=writer == "pth")
        sizes.append((tmp_path / name).stat().st_size)
        peaks.append(peak_memory(tmp_path / name, tmp_path / f"{name}_out"))
    assert sizes[1] > 29e6
    assert peaks[1] - peaks[0] < 4 * (sizes[1] - sizes[0])
    assert peaks[0] < 600e6


def test_the_result_is_numbered_and_owned_by_this_project(torch, tmp_path, reads_here):
    """A result never keeps another program's config.json."""
    import compact_torch

    torch.save(compact_torch.random_torch_model().state_dict(), tmp_path / "a.pth")
    convert(tmp_path / "a.pth", tmp_path / "out")
    assert checkpoints.detect(tmp_path / "out") == safetensors.FORMAT
    assert checkpoints.read(tmp_path / "out").config.labels == numbered_labels(5)
