"""The paper's checkpoints: every intermediate against the paper's code, and messages for damaged or wrong files."""

import dataclasses
import fractions
import os
import pickle
import re

import numpy as np
import pytest
from conftest import softmax
from official_reference import NAMES, assert_agrees, load_reference, read_state, write_pth

from cct_viz.architecture.config import numbered_labels
from cct_viz.architecture.position import resize_position, sinusoidal_position
from cct_viz.architecture.presets import _PAPER_PRESETS, PRESETS
from cct_viz.checkpoints import CheckpointError, CheckpointWarning
from cct_viz.checkpoints.pytorch import official
from cct_viz.checkpoints.pytorch.select import load_state


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_intermediate_equals_the_papers_code(name):
    from cct_viz.architecture.keras_model import build_model
    from cct_viz.checkpoints import assign

    config, state, reference = load_reference(name)
    model = build_model(config)
    assign(model, read_state(state, config).weights)
    images = reference.pop("input_nhwc")
    seen = model.intermediates(images)
    assert_agrees(model.tokenizer(images).tokens, reference.pop("tokens"), "tokens")
    for i in range(len(config.tokenizer)):
        assert_agrees(seen[f"feature_map_{i}"], reference.pop(f"conv_stage_{i}_nhwc"), f"conv stage {i}")
    for i, attention in enumerate(reference.pop("attention")):
        assert_agrees(seen[f"attentions_{i}"], attention, f"attention {i}")
    for i, output in enumerate(reference.pop("block_outputs")):
        assert_agrees(seen[f"stream_{i + 1}"], output, f"block {i}")
    assert_agrees(seen["representation"], reference.pop("final_norm"), "final norm")
    if config.pool == "seqpool":
        assert_agrees(seen["pooling_weights"], reference.pop("seqpool_weights"), "pool weights")
    assert_agrees(seen["logits"], reference.pop("logits"), "logits")
    assert not reference  # nothing was left out


def test_position_is_resized_bilinearly():
    table = np.array([[7.0], [0.0], [4.0], [8.0], [12.0]], np.float32)  # a class token, then rows 0 4 and 8 12
    resized = resize_position(table, (2, 2), (2, 4))
    np.testing.assert_allclose(resized[:, 0], [7, 0, 1, 3, 4, 8, 9, 11, 12])
    np.testing.assert_array_equal(resize_position(table, (2, 2), (2, 2)), table)


def test_position_is_resized_as_pytorch_does(torch):
    table = np.random.default_rng(0).normal(size=(35, 6)).astype(np.float32)
    grid = torch.tensor(table.reshape(1, 5, 7, 6)).permute(0, 3, 1, 2)
    theirs = torch.nn.functional.interpolate(grid, size=(8, 4), mode="bilinear").permute(0, 2, 3, 1).reshape(32, 6)
    np.testing.assert_allclose(resize_position(table, (5, 7), (8, 4)), theirs.numpy(), atol=1e-5)


def test_another_image_size_keeps_the_class_tokens_row():
    config, state, _ = load_reference("vit_lite_learnable")
    larger = dataclasses.replace(config, image_size=(24, 32))
    with pytest.warns(CheckpointWarning, match="resized bilinearly from 4x4 to 6x8 tokens"):
        position = read_state(state, larger, grid=config.grid).weights["sequence/position"]
    theirs = state["classifier.positional_emb"][0]
    np.testing.assert_array_equal(position[0], theirs[0])
    np.testing.assert_array_equal(position[1:], resize_position(theirs[1:], (4, 4), (6, 8)))


def test_position_that_differs_from_the_formula_is_used_with_a_warning():
    config, state, _ = load_reference("cct_sine_2conv")
    table = state["classifier.positional_emb"][0]
    np.testing.assert_allclose(table, sinusoidal_position(*table.shape), atol=1e-5)
    state["classifier.positional_emb"] = table[None] + np.float32(0.5)
    with pytest.warns(CheckpointWarning, match=r"differs from the sinusoidal formula by up to 0\.5"):
        weights = read_state(state, config).weights
    np.testing.assert_array_equal(weights["sequence/position"], table + np.float32(0.5))


def test_head_of_another_size_only_on_request():
    config, state, _ = load_reference("cct_learnable")
    seven = dataclasses.replace(config, labels=numbered_labels(7))
    with pytest.raises(CheckpointError, match=r"has 5 classes, the architecture 7.*--new-head"):
        read_state(state, seven)
    with pytest.warns(CheckpointWarning, match="untrained"):
        weights = read_state(state, seven, new_head=True).weights
    assert weights["head/kernel"].shape == (24, 7)
    assert not weights["head/kernel"].any()


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("vit_lite_learnable", r"another architecture.*missing \(.*class_emb"),
        ("cct_none", r"not part of the model \(classifier.positional_emb\)"),
        ("cct_7x7_stride2", r"of another shape \(tokenizer.conv_layers.0.0.weight"),
        ("cct_sine_2conv", "another architecture.*tokenizer.conv_layers.1.0.weight"),
    ],
)
def test_another_architecture_is_refused_and_arrays_are_named(arch, message):
    _, state, _ = load_reference("cct_learnable")
    config, _, _ = load_reference(arch)
    with pytest.raises(CheckpointError, match=message):
        read_state(state, config)


def test_long_lists_of_wrong_arrays_are_shortened():
    _, state, _ = load_reference("cct_learnable")
    with pytest.raises(CheckpointError) as caught:
        read_state(state, PRESETS["cct_14_7x2_384"].config)
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize(
    "changes",
    [
        {"block": "pre_norm"},
        {"qkv_bias": True},
        {"mlp_output_activation": True},
        {"pool": "mean"},
        {"key_dim": 3},
        {"layer_norm_epsilon": 1e-6},
    ],
)
def test_config_of_another_form_is_refused_even_if_shapes_fit(changes):
    config, state, _ = load_reference("cct_learnable")
    with pytest.raises(CheckpointError, match="not of the paper's code"):
        read_state(state, dataclasses.replace(config, **changes))


@pytest.mark.parametrize(
    ("arch", "changes"),
    [
        ("cct_learnable", {"relu": False}),
        ("cct_learnable", {"use_bias": True}),
        ("cct_learnable", {"pool_size": 2}),
        ("cct_learnable", {"pool_size": 0}),
        ("cct_learnable", {"pool_stride": 1}),
        ("cct_learnable", {"pool_zero_padding": 0}),
        ("cct_learnable", {"pool_zero_padding": 0, "pool_padding": "same"}),
        ("cct_learnable", {"padding": 0, "conv_padding": "same"}),
        ("vit_lite_learnable", {"relu": True}),
        ("vit_lite_learnable", {"use_bias": False}),
        ("vit_lite_learnable", {"pool_size": 3}),
        ("vit_lite_learnable", {"stride": 2}),
        ("vit_lite_learnable", {"padding": 1}),
    ],
)
def test_tokenizer_of_another_form_is_refused_even_if_shapes_fit(arch, changes):
    config, state, _ = load_reference(arch)
    stages = tuple(dataclasses.replace(stage, **changes) for stage in config.tokenizer)
    with pytest.raises(CheckpointError, match=r"paper's code, which has .*conv stages .* or patches"):
        read_state(state, dataclasses.replace(config, tokenizer=stages))


def test_the_papers_presets_are_of_its_form_and_others_need_not_be():
    ours = ("cct_2_3x2_32_cifar10", "cct_imagenette", "cct_2_3x2_seqpool_seed0", "cct_2_3x2_class_token_seed0")
    patches = ("cvt_2_4_seed0", "vit_2_4_seed0")
    others = ("keras_cct_cifar10", "cct_keras_14_7x2_224", "cct_2_3x2_mean_seed0", "cct_2_3x2_max_seed0")
    for preset in (*_PAPER_PRESETS, *ours, *patches, *others):
        with pytest.raises(CheckpointError, match="not of the paper's code" if preset in others else "another arch"):
            official.to_canonical({}, PRESETS[preset].config)


def test_a_position_of_another_grid_is_refused():
    config, state, _ = load_reference("cct_learnable")
    state["classifier.positional_emb"] = state["classifier.positional_emb"][:, :-1]
    with pytest.raises(CheckpointError, match="for 63 tokens, the architecture's for 64"):
        read_state(state, config)


@pytest.mark.parametrize("name", ["classifier.fc.bias", "classifier.blocks.1.self_attn.qkv.weight"])
def test_non_finite_numbers_are_refused(name):
    config, state, _ = load_reference("cct_learnable")
    state[name] = state[name].copy()
    state[name].flat[3] = np.nan
    with pytest.raises(CheckpointError, match="1 values that are not finite"):
        read_state(state, config)


# ---- files, which need PyTorch


WRAPPERS = {
    "plain": None,
    "state_dict": lambda state: {"epoch": 3, "state_dict": state},
    "data parallel": lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
    "parallel and compiled": lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
    "compiled and parallel": lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
    "averaged": lambda state: {"state_dict_ema": state},
    "half precision": lambda state: {name: value.half() for name, value in state.items()},
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_files_with_and_without_wrappers(torch, tmp_path, wrap, zipped):
    config, state = write_pth(torch, tmp_path / "a.pth", wrap=wrap, _use_new_zipfile_serialization=zipped)
    checkpoint = official.read(tmp_path / "a.pth", config)
    for name, array in read_state(state, config).weights.items():
        close = 1e-3 if wrap is WRAPPERS["half precision"] else 0  # half a unit of float16 at 2
        np.testing.assert_allclose(checkpoint.weights[name], array, rtol=0, atol=close)


def test_averaged_weights_beside_others_give_a_warning(torch, tmp_path):
    config, _ = write_pth(torch, tmp_path / "a.pth", wrap=lambda state: {"state_dict": state, "state_dict_ema": state})
    with pytest.warns(CheckpointWarning, match="averaged weights"):
        official.read(tmp_path / "a.pth", config)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool"])
def test_counters_beside_the_weights_are_skipped_with_a_warning(torch, tmp_path, dtype):
    """torch.optim.swa_utils.AveragedModel keeps one, without the prefix that it gives to the weights."""

    def wrap(state):
        count = torch.tensor(5).to(getattr(torch, dtype))
        return {"n_averaged": count, **{f"module.{name}": value for name, value in state.items()}}

    config, state = write_pth(torch, tmp_path / "a.pth", wrap=wrap)
    with pytest.warns(CheckpointWarning, match="n_averaged holds no floating-point numbers; left out"):
        checkpoint = official.read(tmp_path / "a.pth", config)
    for name, array in read_state(state, config).weights.items():
        np.testing.assert_array_equal(checkpoint.weights[name], array)


def test_weights_of_whole_numbers_are_called_quantised(torch, tmp_path):
    def wrap(state):
        return state | {"classifier.fc.bias": state["classifier.fc.bias"].to(torch.int64)}

    config, _ = write_pth(torch, tmp_path / "a.pth", wrap=wrap)
    with pytest.raises(
        CheckpointError, match=r"classifier\.fc\.bias holds whole numbers \(int64\): the model is quantised"
    ):
        official.read(tmp_path / "a.pth", config)


class Payload:
    """What a malicious pickle is: a call, made while it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def write_pickle(torch, path, payload):
    path.write_bytes(pickle.dumps({"weight": payload}))


def write_zip(torch, path, payload):
    torch.save({"weight": payload}, path)


def write_old(torch, path, payload):
    torch.save({"weight": payload}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [write_pickle, write_zip, write_old])
def test_code_in_a_pickle_is_not_run(torch, tmp_path, write):
    touched = tmp_path / "touched"
    write(torch, tmp_path / "bad.pth", Payload(touched))
    with pytest.raises(
        CheckpointError, match=r"bad.pth holds more than tensors: it asks to call .*nothing of it was run"
    ):
        load_state(tmp_path / "bad.pth")
    assert not touched.exists()
    if write is write_pickle:  # the payload is real
        pickle.loads((tmp_path / "bad.pth").read_bytes())
        assert touched.exists()


def test_what_a_training_script_adds_is_named(torch, tmp_path):
    write_pth(torch, tmp_path / "a.pth", wrap=lambda s: {"state_dict": s, "lr": fractions.Fraction(1, 3)})
    with pytest.raises(CheckpointError, match=r"asks to call fractions\.Fraction"):
        load_state(tmp_path / "a.pth")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file_is_detected(torch, tmp_path, zipped, share):
    write_pth(torch, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    content = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "half.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises(CheckpointError, match=re.escape("half.pth is truncated, damaged")):
        load_state(tmp_path / "half.pth")


def test_flipped_bit_is_detected(torch, tmp_path):
    write_pth(torch, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    _, state, _ = load_reference("cct_learnable")
    place = content.index(state["classifier.blocks.0.linear1.weight"].tobytes())
    content[place + 2] ^= 1
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "no state dict, but list"),
        ({}, "no state dict"),
        ({"state_dict": 3}, "no state dict, but no tensors"),
        ({"weight": 3}, "no state dict, but no tensors"),
    ],
)
def test_files_that_hold_something_else(torch, tmp_path, value, message):
    torch.save(value, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        load_state(tmp_path / "a.pth")


def test_web_page_or_empty_file_is_refused(torch, tmp_path):
    (tmp_path / "a.pth").write_text("<html>please log in</html>")
    with pytest.raises(CheckpointError, match="damaged or no PyTorch file"):
        load_state(tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"b\.pth cannot be read: No such file"):
        load_state(tmp_path / "b.pth")


@pytest.mark.parametrize(
    ("version", "message"), [("2.9.1+cpu", "PyTorch 2.9.1.*needs PyTorch 2.10"), (None, "not installed")]
)
def test_a_missing_or_old_pytorch_says_what_to_install(monkeypatch, tmp_path, version, message):
    import sys
    import types

    module = types.ModuleType("torch")
    module.__version__ = version
    monkeypatch.setitem(sys.modules, "torch", module if version else None)
    with pytest.raises(CheckpointError, match=f"{message}.*pip install 'torch>=2.10'"):
        load_state(tmp_path / "a.pth")


def test_seqpool_is_not_the_sum_that_a_softmax_over_one_channel_gives():
    """CCT-keras applies softmax along the one channel of the scores: every weight is 1, and the pool is a plain sum."""
    from cct_viz.architecture.keras_model import SequencePooling

    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(2, 9, 4)).astype(np.float32)
    pool = SequencePooling()
    right = pool(tokens, np.ones((2, 9), np.float32))
    scores = np.asarray(right.seen["pool_scores"])[..., None]  # (B, N, 1)
    slip = softmax(scores, axis=-1)
    np.testing.assert_array_equal(slip, np.ones_like(slip))
    summed = np.einsum("bno,bnd->bd", slip, tokens)
    np.testing.assert_allclose(summed, tokens.sum(axis=1), atol=1e-5)
    weights = np.asarray(right.seen["pooling_weights"])
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(right.pooled, np.einsum("bn,bnd->bd", weights, tokens), atol=1e-6)
    assert np.abs(np.asarray(right.pooled) - summed).max() > 1
    inside = (right.pooled >= tokens.min(axis=1)) & (right.pooled <= tokens.max(axis=1))
    assert np.asarray(inside).all()  # a weighted mean never leaves the tokens' range
