import dataclasses
import json

import pytest
from conftest import tiny_config

from cct_viz.architecture.activations import ACTIVATIONS
from cct_viz.architecture.config import CCTConfig, ConfigError, ConvStage, Preprocessing, read_config, write_config
from cct_viz.architecture.presets import PRESETS, configure


def test_config_json_round_trip(tmp_path):
    for config in (tiny_config(), *(preset.config for preset in PRESETS.values())):
        write_config(tmp_path / "config.json", config)
        assert read_config(tmp_path / "config.json") == config


def test_from_dict_names_every_unknown_and_missing_entry():
    data = tiny_config().to_dict()
    del data["num_layers"], data["key_dim"]
    data["depth"] = 3
    with pytest.raises(ConfigError, match=r"unknown depth; missing key_dim, num_layers"):
        CCTConfig.from_dict(data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_layers": 0}, "num_layers is 0"),
        ({"pool": "median"}, "pool is 'median'; expected one of seqpool"),
        ({"labels": ("only",)}, "1 labels"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"image_size": (1, 20)}, "leave no token"),
        ({"image_size": (10**6, 10**6)}, r"image_size is \(1000000, 1000000\); expected .* 1 to 4096 pixels each"),
        ({"image_size": (0, 20)}, "1 to 4096 pixels each"),
        ({"image_size": "24"}, "image_size is '24'; expected"),
        ({"image_size": 24}, "image_size is 24; expected"),
        ({"image_size": (12, 20, 3)}, "image_size is"),
        ({"image_size": (True, 20)}, "image_size is"),
        ({"image_size": (12, 20.0)}, "image_size is"),
        ({"image_size": (2048, 2048)}, r"images of 2048x2048 pixels make 262,144 tokens; .* at most 16,384"),
        ({"channels": 2}, "channels is 2; expected 3, or 1 for grey images"),
        ({"channels": 1}, r"mean is \(0.0, 0.0, 0.0\); expected one number for each input channel, 1 in all"),
        (
            {"preprocessing": Preprocessing((0.5,), (0.2,))},
            r"mean is \(0.5,\); expected one number for each input channel, 3 in all",
        ),
        ({"output": "tanh"}, "output is 'tanh'; expected one of softmax, sigmoid"),
        ({"output": "sigmoid", "labels": ()}, "0 labels"),
        ({"activation": "relu"}, f"activation is 'relu'; expected one of {', '.join(ACTIVATIONS)}"),
        ({"tokenizer": ()}, "tokenizer is empty"),
        ({"layer_norm_epsilon": 0.0}, "layer_norm_epsilon"),
    ],
)
def test_invalid_config_error_names_the_value(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny_config(**changes)


ODD = [
    {"format_version": 99},
    {"num_layers": "two"},
    {"num_layers": 2.5},
    {"num_layers": True},
    {"tokenizer": [3]},
    {"tokenizer": [{"channels": 64.0}]},
    {"labels": None},
    {"labels": "abc"},
    {"labels": ["a", "b", "a"]},
    {"qkv_bias": "no"},
    {"image_size": [12.0, 20.0]},
    {"preprocessing": {"mean": [0, 0, "0"]}},
    {"preprocessing": {"mean": [10**400, 0, 0]}},
    {"tokenizer": [{"channels": 8, "padding": 10**400}]},
    {"labels": ["\ud800", "half a pair of surrogates"]},
    {"labels": ["\x1b[31mred", "colours of a terminal"]},
    {"labels": ["two\nlines", "one"]},
]


@pytest.mark.parametrize("value", ODD)
def test_malformed_json_is_a_config_error(value):
    with pytest.raises(ConfigError):
        CCTConfig.from_dict(tiny_config().to_dict() | value)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, "null", '{"format_version": 1}'])
def test_unreadable_config_file_is_a_config_error(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError):
        read_config(tmp_path / "config.json")


def test_invalid_normalisation_is_refused():
    with pytest.raises(ConfigError, match="std"):
        Preprocessing(std=(1.0, 0.0, 1.0))


@pytest.mark.parametrize("wrong", [{"mean": (0.5, 0.5)}, {"mean": (0.5,)}, {"std": (1.0,)}, {"mean": ()}])
def test_normalisation_has_one_number_for_each_channel(wrong):
    with pytest.raises(ConfigError, match=r"expected (3 numbers|as many)"):
        Preprocessing(**wrong)


def test_normalisation_fits_other_channels_if_all_colours_share_it():
    grey, colour = Preprocessing((0.5,), (0.25,)), Preprocessing((0.5,) * 3, (0.25,) * 3)
    assert grey.for_channels(3) == colour
    assert colour.for_channels(1) == grey
    assert colour.for_channels(3) is colour
    with pytest.raises(ConfigError, match="expected one number for each input channel, 1 in all"):
        Preprocessing((0.5, 0.5, 0.4)).for_channels(1)


def test_grey_and_sigmoid_models_round_trip():
    config = tiny_config(
        channels=1,
        preprocessing=Preprocessing((0.5,), (0.2,)),
        output="sigmoid",
        labels=("cat",),
        activation="gelu_tanh",
    )
    assert config.input_shape == (12, 20, 1)
    assert CCTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert not {"channels", "output"} & set(tiny_config().to_dict())  # the first release can still read config.json


def test_keras_io_tokenizer_gives_8_by_8_tokens():
    assert PRESETS["keras_cct_cifar10"].config.stage_shapes == ((16, 16), (8, 8))


def test_configure_changes_size_and_classes(tmp_path):
    config = configure("keras_cct_cifar10", num_classes=4, image_size=(56, 80))
    assert config.image_size == (56, 80)
    assert config.grid == (14, 20)
    assert config.labels == ("class 0", "class 1", "class 2", "class 3")
    (tmp_path / "config.json").write_text(json.dumps(config.to_dict()))
    assert configure(str(tmp_path / "config.json")) == config
    with pytest.raises(ConfigError, match="neither a preset"):
        configure("cct_99")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 2.5}, r"image_size is \(2.5, 2.5\); expected \(height, width\), 1 to 4096 pixels each"),
        ({"image_size": "large"}, r"image_size is \('large', 'large'\); expected"),
        ({"image_size": (32,)}, r"image_size is \(32,\); expected"),
        ({"num_classes": 2.5}, "2.5 classes; expected a whole number"),
        ({"num_classes": "ten"}, "'ten' classes; expected a whole number"),
        ({"num_classes": -1}, "0 labels; expected two classes or more"),
    ],
)
def test_configure_refuses_invalid_sizes(changes, message):
    with pytest.raises(ConfigError, match=message):
        configure("keras_cct_cifar10", **changes)


def test_number_of_classes_is_limited():
    with pytest.raises(ConfigError, match="1,000,000,000 classes; expected 100,000 at most"):
        configure("keras_cct_cifar10", num_classes=10**9)
    with pytest.raises(ConfigError, match="100,001 classes; expected 100,000 at most"):
        tiny_config(labels=tuple(map(str, range(100_001))))


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        tiny_config().num_layers = 3
    assert hash(ConvStage(3)) == hash(ConvStage(3))
