"""The presets: the paper's models, their published parameter counts, labels and preprocessing."""

import dataclasses
import json
import re

import numpy as np
import pytest

import cct_viz
from cct_viz.architecture import presets
from cct_viz.architecture.config import ConfigError
from cct_viz.architecture.cost import count_macs, count_parameters
from cct_viz.architecture.files import sha256
from cct_viz.architecture.geometry import stage_geometry
from cct_viz.architecture.keras_model import build_model
from cct_viz.architecture.presets import DATA_SETS, PRESETS, PUBLISHED, configure
from cct_viz.checkpoints import CheckpointError
from cct_viz.inference.load import load

AT_32 = [
    *("cct_2_3x2_32", "cct_4_3x2_32", "cct_6_3x1_32", "cct_6_3x2_32", "cct_7_3x1_32", "cct_7_3x2_32"),
    *(f"{family}_{layers}_4_32" for family in ("cvt", "vit") for layers in (2, 4, 6, 7)),
]
OFFICIAL = [
    *AT_32,
    *(f"{name}_sine" for name in AT_32),
    *("cct_7_3x1_32_c100", "cct_7_3x1_32_sine_c100", "cct_7_7x2_224", "cct_7_7x2_224_sine"),
    *("cct_14_7x2_224", "cct_14_7x2_384", "cct_14_7x2_384_fl"),
]


def test_presets_include_the_35_models_of_the_paper():
    assert len(OFFICIAL) == 35
    untrained = {name: preset.config for name, preset in PRESETS.items() if preset.folder is None}
    assert set(OFFICIAL) <= {name for name, config in untrained.items() if config.block == "official"}


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # counted with the paper's code
        ("cct_2_3x2_32", 283_723),
        ("cct_7_3x1_32", 3_760_139),
        ("cct_14_7x2_224", 22_367_273),
        ("cvt_7_4_32", 3_716_619),
        ("vit_7_4_32", 3_716_874),
        ("cct_7_7x2_224_sine", 4_573_735),
    ],
)
def test_parameter_counts_equal_the_official_ones(name, parameters):
    assert count_parameters(PRESETS[name].config) == parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cct_2_3x2_32_sine", "cct_6_3x1_32", "cvt_2_4_32", "vit_2_4_32_sine"])
def test_built_model_has_the_counted_parameters(name):
    assert cct_viz.build(name).count_params() == count_parameters(PRESETS[name].config)


def test_cct_keras_has_the_published_parameter_count():
    # Its summary says 24,735,401, without the 196 x 384 positional embedding, which is outside the layers.
    config = PRESETS["cct_keras_14_7x2_224"].config
    assert config.num_tokens == 196
    assert count_parameters(config) == 24_735_401 + 196 * 384


def test_compact_cvt_parameters_equal_a_manual_count():
    block = 2 * 128 + 3 * (64 * 256 + 256) + (256 * 64 + 64) + (64 * 128 + 128) + (128 * 64 + 64)
    config = PRESETS["compact_cvt_8_6_32"].config
    assert config.grid == (5, 5)
    assert count_parameters(config) == (108 * 64 + 64) + 25 * 64 + 8 * block + 128 + 65 + 650


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cct_keras_14_7x2_224", "compact_cvt_8_6_32", "compact_vit_8_6_32"])
def test_presets_of_other_repositories_build_and_run(name):
    config = dataclasses.replace(configure(name, num_classes=5, image_size=(70, 48)), num_layers=1)
    model = build_model(config)
    assert model(np.zeros((2, 70, 48, 3), np.float32)).shape == (2, 5)
    assert model.count_params() == count_parameters(config)


def test_macs_equal_a_manual_count():
    convs = 32 * 32 * 9 * 3 * 64 + 16 * 16 * 9 * 64 * 128
    block = 4 * 64 * 128 * 128 + 2 * 64 * 64 * 128 + 2 * 64 * 128 * 128
    assert count_macs(PRESETS["cct_2_3x2_32"].config) == convs + 2 * block + 2 * 64 * 128 + 128 * 10
    block = 4 * 65 * 128 * 128 + 2 * 65 * 65 * 128 + 2 * 65 * 128 * 128
    assert count_macs(PRESETS["vit_2_4_32"].config) == 64 * 4 * 4 * 3 * 128 + 2 * block + 128 * 10


@pytest.mark.parametrize(("name", "tokens", "giga"), [("cct_14_7x2_224", 196, 5.11), ("cct_14_7x2_384", 576, 15.02)])
def test_macs_without_attention_products_equal_the_authors_numbers(name, tokens, giga):
    rest = count_macs(PRESETS[name].config) - 14 * 2 * tokens**2 * 384
    assert rest / 1e9 == pytest.approx(giga, abs=0.01)  # the authors give two decimals


def test_sine_variants_are_sinusoidal():
    for name in OFFICIAL:
        assert PRESETS[name].config.position == ("sinusoidal" if "sine" in name else "learnable"), name


@pytest.mark.parametrize(
    ("name", "grid", "window", "stride"),
    [
        ("cct_7_3x1_32", (16, 16), 5, 2),
        ("cct_2_3x2_32", (8, 8), 13, 4),
        ("cct_14_7x2_224", (14, 14), 51, 16),
        ("cct_14_7x2_384", (24, 24), 51, 16),
        ("cct_imagenette", (8, 8), 51, 16),
        ("vit_7_4_32", (8, 8), 4, 4),
        ("compact_cvt_8_6_32", (5, 5), 6, 6),
    ],
)
def test_tokens_and_receptive_fields(name, grid, window, stride):
    config = PRESETS[name].config
    geometry = stage_geometry(config)[-1]
    assert (config.grid, geometry.window_size, geometry.stride) == (grid, (window, window), (stride, stride))


@pytest.mark.parametrize(
    ("name", "count", "some"),
    [
        ("cifar10", 10, {0: "airplane", 9: "truck"}),
        ("cifar100", 100, {0: "apple", 1: "aquarium fish", 41: "lawn mower", 53: "orange", 99: "worm"}),
        ("flowers102", 102, {0: "pink primrose", 73: "rose", 101: "blackberry lily"}),
        ("imagenet1k", 1000, {0: "tench", 207: "golden retriever", 999: "toilet tissue"}),
    ],
)
def test_labels_are_complete_and_in_order(name, count, some):
    labels = DATA_SETS[name].labels
    assert len(set(labels)) == count
    assert {i: labels[i] for i in some} == some
    if name.startswith("cifar"):
        assert list(labels) == sorted(labels)


def test_labels_and_preprocessing_are_those_of_the_training_data():
    flowers, imagenet = PRESETS["cct_14_7x2_384_fl"].config, PRESETS["cct_14_7x2_384"].config
    assert (flowers.num_classes, imagenet.num_classes) == (102, 1000)
    assert flowers.preprocessing != imagenet.preprocessing
    assert imagenet.preprocessing.crop == 0.9
    assert PRESETS["cct_7_3x1_32_c100"].config.labels == DATA_SETS["cifar100"].labels


def test_the_photo_model_knows_the_classes_of_imagenette_and_sees_whole_pictures():
    from cct_viz.training.data import IMAGENETTE

    config = PRESETS["cct_imagenette"].config
    assert config.labels == tuple(sorted(IMAGENETTE.values()))
    assert config.preprocessing.mean == DATA_SETS["imagenet1k"].preprocessing.mean
    assert config.preprocessing.crop == 1
    assert count_parameters(config) == 1_812_107


def test_where_to_get_names_the_published_file():
    assert len(PUBLISHED) == 8
    for file, name in PUBLISHED.items():
        assert PRESETS[name].published == file
        with pytest.raises(CheckpointError, match=f"publish {file} .*github.com.*convert {file} --arch {name} --out"):
            load(name)
    with pytest.raises(CheckpointError, match="train it with"):
        load("cct_2_3x2_32")


def test_misspelled_name_gets_a_suggestion():
    with pytest.raises(ConfigError, match="did you mean cct_7_3x1_32"):
        configure("cct_7_3x1")
    with pytest.raises(CheckpointError, match="did you mean cvt_7_4_32"):
        load("cvt_7_4")


def test_card_lists_files_and_metrics():
    cards = sorted(presets.WEIGHTS.rglob("README.md"))
    assert cards
    for card in cards:
        text, folder = card.read_text(encoding="utf-8"), card.parent
        named = dict(re.findall(r"^\| ([\w.]+) \| `([0-9a-f]{64})` \|$", text, re.MULTILINE))
        assert {"config.json", "model.safetensors", "metrics.json", "history.json"} <= set(named), card
        assert {file: sha256(folder / file) for file in named} == named, card
        accuracy = json.loads((folder / "metrics.json").read_text())["accuracy"]
        assert f"| top-1 accuracy | {accuracy:.2%} |" in text, card
        name = folder.name if folder.name in PRESETS else folder.relative_to(presets.WEIGHTS.parent).as_posix()
        data = "DATA" if "imagenette" in folder.name else "cifar10"
        assert (f"value: {accuracy:.4f}" in text) == (data == "cifar10"), card
        assert f"python -m cct_viz evaluate --model {name} --data {data}" in text, card
