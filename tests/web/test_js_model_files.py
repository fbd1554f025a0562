"""The model's files in the page: damaged or wrong files give one sentence. Needs Chromium."""

import json
import struct

import numpy as np
import pytest
from conftest import tiny_config
from js_model_page import DAMAGED, ModelPage, failure
from safetensors.numpy import save

from cct_viz.architecture.weights import expected_shapes


@pytest.fixture(scope="module")
def page(chromium, tmp_path_factory):
    page = ModelPage(chromium, tmp_path_factory.mktemp("page") / "page.html")
    yield page
    page.context.close()


def spoiled(**changes):
    """The bytes of a tiny model's weights, with some arrays replaced; None removes one."""
    weights = {name: np.ones(shape, np.float32) for name, shape in expected_shapes(tiny_config()).items()}
    for name, array in changes.items():
        weights[name] = array
    return save({name: array for name, array in weights.items() if array is not None})


UNFIT = "the weights do not fit the configuration: "
BAD_WEIGHTS = {
    "half a file": (lambda: spoiled()[: len(spoiled()) // 2], DAMAGED),
    "half a header": (lambda: spoiled()[:300], DAMAGED),
    "nothing": (lambda: b"", DAMAGED),
    "text": (lambda: b"<html>404 Not Found</html>", DAMAGED),
    "a header that is a list": (lambda: struct.pack("<Q", 4) + b"null", DAMAGED),
    "missing": (lambda: spoiled(**{"norm/beta": None}), UNFIT + "norm/beta is missing"),
    "extra": (lambda: spoiled(more=np.ones(2, np.float32)), UNFIT + "more is not part of the model"),
    "wrong shape": (
        lambda: spoiled(**{"norm/beta": np.ones(7, np.float32)}),
        UNFIT + "norm/beta has shape (7), expected (8)",
    ),
    "float64": (lambda: spoiled(**{"norm/beta": np.ones(8)}), UNFIT + "norm/beta is F64, expected F32 or F16"),
    "not finite": (
        lambda: spoiled(**{"norm/beta": np.full(8, np.nan, np.float32)}),
        UNFIT + "norm/beta has values that are not finite",
    ),
    "another model": (
        lambda: save({f"w{i}": np.ones(2, np.float32) for i in range(3)}),
        UNFIT + "tokenizer/conv_0/kernel is missing; tokenizer/conv_1/kernel is missing; sequence/position is missing; "
        "block_0/norm_1/gamma is missing; and 40 more",
    ),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_weights_that_do_not_fit_give_a_message(page, case):
    make, message = BAD_WEIGHTS[case]
    config = json.dumps(tiny_config().to_dict())
    script = "m.openModel(config, bytes(weights).buffer)"
    assert failure(page, script, config=config, weights=make()) == message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format_version": 2}, "format_version is 2; this page reads 1"),
        ({"pool": "median"}, "pool is median; expected one of seqpool, mean, max, class_token"),
        ({"block": "post_norm"}, "block is post_norm; expected one of pre_norm, official"),
        ({"activation": "relu"}, "activation is relu; expected one of gelu, gelu_tanh"),
        ({"pool": "toString"}, "pool is toString; expected one of seqpool, mean, max, class_token"),
        ({"num_heads": 0}, "num_heads is 0; expected 1 or more"),
        ({"num_layers": 10**9}, "num_layers is 1000000000; expected 1000 at most"),
        ({"tokenizer": []}, "tokenizer is empty; expected one conv stage or more"),
        ({"tokenizer": [None]}, "channels is undefined; expected 1 or more"),
        ({"labels": ["one"]}, "labels must be two texts or more"),
        ({"image_size": [2, 2]}, "images of 2x2 pixels leave no token after the conv stages"),
        ({"image_size": 32}, "image_size is 32; expected (height, width), whole numbers from 1 to 4096"),
        ({"preprocessing": {"std": [1, 0, 1]}}, "std is 1,0,1; expected 3 positive numbers"),
    ],
)
def test_config_of_an_impossible_model_gives_a_message(page, change, says):
    text = json.dumps(tiny_config().to_dict() | change)
    assert failure(page, "m.readConfig(text)", text=text) == f"the configuration cannot be used: {says}"


@pytest.mark.parametrize("text", ["{", "null", "[]", "3"])
def test_invalid_config_gives_a_message(page, text):
    assert failure(page, "m.readConfig(text)", text=text).startswith("the configuration cannot be used: ")
