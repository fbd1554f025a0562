"""The ONNX graph against the Keras model of the same weights, in every output."""

import dataclasses

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import tiny_config
from random_models import FORMS, random_model

from cct_viz.architecture.config import ConvStage
from cct_viz.architecture.keras_model import named_weights
from cct_viz.architecture.onnx_graph import build_graph
from cct_viz.architecture.presets import PRESETS
from cct_viz.architecture.weights import expected_shapes

FLOAT32 = 1e-5  # of the largest value: rounding of a few hundred additions in float32
TOKENIZERS = {
    "odd windows": (ConvStage(4, 5, stride=2, padding=3, pool_size=2, pool_zero_padding=0), ConvStage(6, 2)),
    "same, with zeros as well": (
        ConvStage(4, 4, padding=1, conv_padding="same", pool_padding="same"),
        ConvStage(6, 3, stride=2, conv_padding="same", use_bias=True, pool_size=0),
    ),
    "a pool without ReLU": (ConvStage(6, relu=False, use_bias=True),),
    "more zeros than the pool is wide": (ConvStage(6, pool_size=2, pool_zero_padding=3),),
}
CONFIGS = FORMS | {name: tiny_config(tokenizer=tokenizer) for name, tokenizer in TOKENIZERS.items()}


def run(model, names, images, mask):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(names, {"images": images, "token_mask": mask})


@pytest.mark.slow  # TensorFlow
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_every_output_agrees_with_the_keras_model(config):
    network = random_model(config)
    graph = build_graph(config, {name: np.asarray(value) for name, value in named_weights(network).items()})
    onnx.checker.check_model(graph, full_check=True)  # infers the shapes and compares them with those of the outputs
    rng = np.random.default_rng(1)
    images = rng.random((3, *config.input_shape), dtype=np.float32)
    mask = (rng.random((3, config.num_tokens)) > 0.3).astype(np.float32)
    mask[0], mask[2] = 1, 0
    seen = {name: np.asarray(value) for name, value in network.intermediates(images, mask).items()}
    names = [output.name for output in graph.graph.output]
    assert set(names) == set(seen)
    for name, value in zip(names, run(graph, names, images, mask), strict=True):
        np.testing.assert_allclose(value, seen[name], atol=FLOAT32 * max(1, np.abs(seen[name]).max()), err_msg=name)
    (one,) = run(graph, ["logits"], images[:1], mask[:1])
    np.testing.assert_allclose(one, seen["logits"][:1], atol=FLOAT32 * max(1, np.abs(seen["logits"]).max()))


def test_every_preset_is_a_valid_graph_and_reads_every_weight():
    """Without weights in memory: what large models are made of is looked at, not computed."""
    for name, preset in PRESETS.items():
        config = dataclasses.replace(preset.config, num_layers=2)  # the others are like these
        weights = {key: np.zeros(shape, np.float32) for key, shape in expected_shapes(config).items()}
        read = set()

        class Noting(dict):
            def __getitem__(self, key, read=read):
                read.add(key)
                return super().__getitem__(key)

        graph = build_graph(config, Noting(weights))
        onnx.checker.check_model(graph, full_check=True)
        assert read == set(weights), name


def test_an_unknown_weight_or_pool_is_an_error():
    with pytest.raises(KeyError, match="tokenizer/conv_0/kernel"):
        build_graph(tiny_config(), {})
