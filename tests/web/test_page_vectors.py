"""The vectors that the page's own tests compare with: complete, small, and what Python computes now."""

import json

import numpy as np
import page_vectors
import pytest
from page_vectors import CASES, FOLDER
from safetensors import safe_open
from safetensors.numpy import load_file

from cct_viz.architecture.activations import ACTIVATIONS
from cct_viz.architecture.blocks import BLOCKS
from cct_viz.architecture.outputs import OUTPUTS
from cct_viz.architecture.pools import POOLS

CONFIGS = [config for config, _ in CASES.values()]
OPTIONS = {
    "pool": tuple(POOLS),
    "block": tuple(BLOCKS),
    "activation": tuple(ACTIVATIONS),
    "output": tuple(OUTPUTS),
    "channels": (1, 3),
    "position": ("learnable", "sinusoidal", "none"),
    "qkv_bias": (True, False),
    "mlp_output_activation": (True, False),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_cases_cover_every_choice(option):
    assert {getattr(config, option) for config in CONFIGS} == set(OPTIONS[option])


def test_cases_cover_every_kind_of_conv_stage():
    stages = [stage for config in CONFIGS for stage in config.tokenizer]
    for name in ("use_bias", "relu"):
        assert {getattr(stage, name) for stage in stages} == {True, False}
    for name in ("conv_padding", "pool_padding"):
        assert {getattr(stage, name) for stage in stages} == {"valid", "same"}
    assert {bool(stage.pool_size) for stage in stages} == {True, False}
    assert {dtype for _, dtype in CASES.values()} == {"float32", "float16"}


def test_vectors_are_small():
    """They are in the repository: every change of one stays in its history."""
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000


@pytest.mark.slow
def test_vectors_are_what_python_computes_now(tmp_path):
    """If this fails: python tests/page_vectors.py, then npm test in cct_viz/web."""
    files = page_vectors.make_vectors()
    assert {path.name for path in FOLDER.iterdir()} == set(files)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert read_about(tmp_path / name).keys() == read_about(FOLDER / name).keys(), name
        now, committed = load_file(tmp_path / name), load_file(FOLDER / name)
        assert now.keys() == committed.keys(), name
        for key, array in now.items():
            assert array.dtype == committed[key].dtype, f"{name} {key}"
            if array.dtype.kind == "f":
                # Another processor sums in another order; LayerNorms enlarge float32's rounding.
                np.testing.assert_allclose(committed[key], array, rtol=1e-4, atol=2e-5, err_msg=f"{name} {key}")
            else:
                np.testing.assert_array_equal(committed[key], array, err_msg=f"{name} {key}")


def read_about(path):
    with safe_open(path, "np") as file:
        return json.loads(file.metadata()["json"])
