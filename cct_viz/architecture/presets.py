"""PRESETS: every model that has a name here. This is the only file that lists models."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .config import (
    CIFAR10_LABELS,
    CCTConfig,
    ConfigError,
    ConvStage,
    Position,
    Preprocessing,
    numbered_labels,
    read_config,
)
from .pools import find_pool

_PACKAGE = Path(__file__).resolve().parents[1]
# Inside the package if it is installed, else next to it in the repository.
WEIGHTS = _PACKAGE / "weights" if (_PACKAGE / "weights").is_dir() else _PACKAGE.parent / "weights"
AUTHORS = "https://github.com/SHI-Labs/Compact-Transformers"  # its README links the authors' weights


@dataclass(frozen=True)
class Preset:
    """An architecture, and the folder of its trained weights if they are bundled.

    Attributes:
        description: the name for people, for example "CCT-2/3x2, sequence pooling".
        config: the architecture with its labels and preprocessing.
        folder: the folder of the bundled weights, or None.
        sha256: file name in `folder` -> its SHA-256.
        published: name of the weights file that the paper's authors publish for this architecture, or None.
        comparison: a comparison model: trained for a few epochs only, so its accuracy is low.
    """

    description: str
    config: CCTConfig
    folder: Path | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    published: str | None = None
    comparison: bool = False

    def __post_init__(self) -> None:
        if self.folder is not None and not self.sha256:
            raise ValueError(f"the weights in {self.folder} have no SHA-256, so a damaged file would be loaded")


@dataclass(frozen=True)
class DataSet:
    """The properties that a checkpoint takes from its training data."""

    title: str
    labels: tuple[str, ...]
    preprocessing: Preprocessing


_LABELS = {
    name: tuple(labels) for name, labels in json.loads(Path(__file__).with_name("labels.json").read_text()).items()
}

# mean, std, interpolation and crop are from configs/datasets and configs/pretrained in the authors' repository.
DATA_SETS = {
    "cifar10": DataSet(
        "CIFAR-10",
        CIFAR10_LABELS,
        Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ),
    "cifar100": DataSet(
        "CIFAR-100",
        _LABELS["cifar100"],
        Preprocessing((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    ),
    "flowers102": DataSet(
        "Flowers-102",
        _LABELS["flowers102"],
        Preprocessing((0.4353, 0.3773, 0.2872), (0.2966, 0.2455, 0.2698)),
    ),
    "imagenet1k": DataSet(
        "ImageNet-1k",
        _LABELS["imagenet1k"],
        Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), crop=0.9),
    ),
}

# The paper's models: layers -> (heads, mlp ratio, width)
_SIZES = {2: (2, 1, 128), 4: (2, 1, 128), 6: (4, 2, 256), 7: (4, 2, 256), 14: (6, 3, 384)}
# name: (layers, kernel or patch, convs or 0 for patches, pool, pixels, data set); {} marks the place of "_sine"
_PAPER: dict[str, tuple[int, int, int, str, int, str]] = {
    "cct_2_3x2_32{}": (2, 3, 2, "seqpool", 32, "cifar10"),
    "cct_4_3x2_32{}": (4, 3, 2, "seqpool", 32, "cifar10"),
    "cct_6_3x1_32{}": (6, 3, 1, "seqpool", 32, "cifar10"),
    "cct_6_3x2_32{}": (6, 3, 2, "seqpool", 32, "cifar10"),
    "cct_7_3x1_32{}": (7, 3, 1, "seqpool", 32, "cifar10"),
    "cct_7_3x1_32{}_c100": (7, 3, 1, "seqpool", 32, "cifar100"),
    "cct_7_3x2_32{}": (7, 3, 2, "seqpool", 32, "cifar10"),
    "cct_7_7x2_224{}": (7, 7, 2, "seqpool", 224, "flowers102"),
    "cct_14_7x2_224": (14, 7, 2, "seqpool", 224, "imagenet1k"),
    "cct_14_7x2_384": (14, 7, 2, "seqpool", 384, "imagenet1k"),
    "cct_14_7x2_384_fl": (14, 7, 2, "seqpool", 384, "flowers102"),
    "cvt_2_4_32{}": (2, 4, 0, "seqpool", 32, "cifar10"),
    "cvt_4_4_32{}": (4, 4, 0, "seqpool", 32, "cifar10"),
    "cvt_6_4_32{}": (6, 4, 0, "seqpool", 32, "cifar10"),
    "cvt_7_4_32{}": (7, 4, 0, "seqpool", 32, "cifar10"),
    "vit_2_4_32{}": (2, 4, 0, "class_token", 32, "cifar10"),
    "vit_4_4_32{}": (4, 4, 0, "class_token", 32, "cifar10"),
    "vit_6_4_32{}": (6, 4, 0, "class_token", 32, "cifar10"),
    "vit_7_4_32{}": (7, 4, 0, "class_token", 32, "cifar10"),
}

# Names of the classes of Hub repositories whose files do not say them but whose model card does.
HUB_LABELS = {"keras-io/cct": CIFAR10_LABELS}
# File published by the authors -> its preset
PUBLISHED = {
    "cct_7_3x1_32_cifar10_300epochs.pth": "cct_7_3x1_32",
    "cct_7_3x1_32_sine_cifar10_5000epochs.pth": "cct_7_3x1_32_sine",
    "cct_7_3x1_32_cifar100_300epochs.pth": "cct_7_3x1_32_c100",
    "cct_7_3x1_32_sine_cifar100_5000epochs.pth": "cct_7_3x1_32_sine_c100",
    "cct_7_7x2_224_flowers102.pth": "cct_7_7x2_224_sine",
    "cct_14_7x2_224_imagenet.pth": "cct_14_7x2_224",
    "cct_14_7x2_384_imagenet.pth": "cct_14_7x2_384",
    "cct_14_7x2_384_flowers102.pth": "cct_14_7x2_384_fl",
}


def _patches(size: int, width: int) -> tuple[ConvStage, ...]:
    """Patch embedding: a convolution whose stride equals its kernel size."""
    return (ConvStage(width, size, size, use_bias=True, relu=False, pool_size=0),)


def _paper_presets() -> dict[str, Preset]:
    published = {arch: file for file, arch in PUBLISHED.items()}
    presets = {}
    for template, (layers, kernel, convs, pool, pixels, data) in _PAPER.items():
        heads, mlp_ratio, width = _SIZES[layers]
        stride, padding = max(1, kernel // 2 - 1), max(1, kernel // 2)
        stages = tuple(ConvStage(c, kernel, stride, padding) for c in [64] * (convs - 1) + [width])
        data_set = DATA_SETS[data]
        positions: list[tuple[str, Position]] = [("", "learnable"), ("_sine", "sinusoidal")]
        for suffix, position in positions if "{}" in template else positions[:1]:
            name = template.format(suffix)
            config = CCTConfig(
                image_size=(pixels, pixels),
                tokenizer=stages if convs else _patches(kernel, width),
                num_layers=layers,
                num_heads=heads,
                key_dim=width // heads,
                mlp_dim=mlp_ratio * width,
                labels=data_set.labels,
                position=position,
                block="official",
                pool=pool,
                qkv_bias=False,
                attention_dropout=0.1,
                stochastic_depth=0.1,
                preprocessing=data_set.preprocessing,
            )
            family = "ViT-Lite" if config.has_class_token else "CCT" if convs else "CVT"
            convolutions = f"x{convs}" if convs else ""
            description = f"{family}-{layers}/{kernel}{convolutions}, {find_pool(pool).name}, for {data_set.title}"
            presets[name] = Preset(description, config, published=published.get(name))
    return presets


def _keras_io(channels: tuple[int, ...] = (64, 128)) -> CCTConfig:
    return CCTConfig(
        image_size=(32, 32),
        tokenizer=tuple(ConvStage(c, pool_padding="same") for c in channels),
        num_layers=2,
        num_heads=2,
        key_dim=128,
        mlp_dim=128,
        labels=CIFAR10_LABELS,
        mlp_output_activation=True,
        stochastic_depth=0.1,
    )


def _cct_keras() -> CCTConfig:
    """CCT-keras' default: "same" convolutions of stride 2, doubled width, biases on q, k and v, GELU twice.

    With sequence pooling as its authors meant it. Their code takes the softmax over an axis of size 1, where every
    weight is 1, so that it sums the tokens. There is no such pool here, because no file of that code can be read
    exactly: its learned positional embedding is a variable outside of all layers, which Keras does not save.
    """
    return CCTConfig(
        image_size=(224, 224),
        tokenizer=tuple(
            ConvStage(c, 7, 2, conv_padding="same", pool_zero_padding=0, pool_padding="same") for c in (192, 384)
        ),
        num_layers=14,
        num_heads=6,
        key_dim=64,
        mlp_dim=3 * 384,
        labels=DATA_SETS["imagenet1k"].labels,
        mlp_output_activation=True,
        layer_norm_epsilon=1e-6,
        dropout=0.1,
        attention_dropout=0.1,
        stochastic_depth=0.1,
        preprocessing=DATA_SETS["imagenet1k"].preprocessing,
    )


def _compact_transformers() -> CCTConfig:
    """CompactTransformers' CVT: 5x5 patches of 6 pixels; no patch covers the last two rows and columns."""
    return CCTConfig(
        image_size=(32, 32),
        tokenizer=_patches(6, 64),
        num_layers=8,
        num_heads=4,
        key_dim=64,
        mlp_dim=128,
        labels=CIFAR10_LABELS,
        mlp_output_activation=True,
        layer_norm_epsilon=1e-6,
        dropout=0.1,
        attention_dropout=0.1,
    )


def _imagenette() -> CCTConfig:
    """This project's model for photos: 8 x 8 tokens of 128 x 128 pixels, and the tokenizer of CCT-7/7x2."""
    return CCTConfig(
        image_size=(128, 128),
        tokenizer=tuple(ConvStage(channels, 7, 2, 3) for channels in (64, 192)),
        num_layers=4,
        num_heads=3,
        key_dim=64,
        mlp_dim=384,
        labels=_LABELS["imagenette"],
        block="official",
        qkv_bias=False,
        stochastic_depth=0.1,
        preprocessing=dataclasses.replace(DATA_SETS["imagenet1k"].preprocessing, crop=1.0),
    )


# Comparison models: name -> (the paper's architecture, pooling, SHA-256 of config and weights)
_COMPARISON: dict[str, tuple[str, str, str, str]] = {
    "cct_2_3x2_seqpool_seed0": (
        "cct_2_3x2_32",
        "seqpool",
        "876ee94a75a74f47504bbebc3484f25c6bbc5196b83915356ce6d337a1d80cca",
        "3d814c43aa90bee9f65e7201f66810cebe3b8919632ee115a0bf6f98284a716d",
    ),
    "cct_2_3x2_mean_seed0": (
        "cct_2_3x2_32",
        "mean",
        "b2bbdd1acb19ef8a19b200021253caa845f5b826730ba3454fa16b943796c90f",
        "3780459489d50c800bb2d0433a07590e8f91fbc4472b9ef6eb266c218115b7ba",
    ),
    "cct_2_3x2_class_token_seed0": (
        "cct_2_3x2_32",
        "class_token",
        "ef88c650fc729682d7f2bb8f90c96bee6ceee963ddc7bb7c9c879b64b1fb42ae",
        "979bd705dc478e856bbca6820403eee815ca8a5661bc20812289f348367b764f",
    ),
    "cct_2_3x2_max_seed0": (
        "cct_2_3x2_32",
        "max",
        "fe5b309edce875ba00f8ba11dd510637394efc1f22751a081763427744be71b7",
        "594545196e59f532d89e4d93f293e395654dd28517af91de9c1575ca662d922e",
    ),
    "cvt_2_4_seed0": (
        "cvt_2_4_32",
        "seqpool",
        "bb4dcea4fcc2a147c4a07378e9b97811b0d0e4995a9c347d16712e8728119ba0",
        "c5b4df6821ae5920b45b025a61a3c7613af3f4f1f060be5b604eef84ead8f6ea",
    ),
    "vit_2_4_seed0": (
        "vit_2_4_32",
        "class_token",
        "06f792c546295ab20be9e404ca89ef1f1b1298fe321c70c19d007e49ed6b5401",
        "f5c4a314b76945018de25a8b6bbf685c690c26cb18ebe90650184a38b5edcb8d",
    ),
}


def _comparison_models() -> dict[str, Preset]:
    return {
        name: Preset(
            f"{_PAPER_PRESETS[arch].description.split(',')[0]}, {find_pool(pool).name} (comparison model)",
            dataclasses.replace(_PAPER_PRESETS[arch].config, pool=pool),
            WEIGHTS / "comparison" / name,
            dict(zip(("config.json", "model.safetensors"), hashes, strict=True)),
            comparison=True,
        )
        for name, (arch, pool, *hashes) in _COMPARISON.items()
    }


_PAPER_PRESETS = _paper_presets()
PRESETS: dict[str, Preset] = {
    "cct_2_3x2_32_cifar10": Preset(
        "CCT-2/3x2, sequence pooling",
        _PAPER_PRESETS["cct_2_3x2_32"].config,
        WEIGHTS / "cct_2_3x2_32_cifar10",
        {
            "config.json": "876ee94a75a74f47504bbebc3484f25c6bbc5196b83915356ce6d337a1d80cca",
            "model.safetensors": "cc06992f7dc8bf222510fd2fdb83856c69f9ba5681a5a6720cd87a9210220e39",
        },
    ),
    "cct_7_3x1_32_cifar10": Preset(
        "CCT-7/3x1, sequence pooling",
        _PAPER_PRESETS["cct_7_3x1_32"].config,
        WEIGHTS / "cct_7_3x1_32_cifar10",
        {
            "config.json": "9e79ef28909e2f5ad63e27713a710f337d25d23b306a2d250553169f9c1bb12c",
            "model.safetensors": "94f32b30c1e3a47e736cb711abd9cadf3c0d5b7a3b54dca5d15bf8355bb63e62",
        },
    ),
    "keras_cct_cifar10": Preset(
        "CCT of the keras.io example, sequence pooling",
        _keras_io(),
        WEIGHTS / "keras_cct_cifar10",
        {
            "config.json": "1d5266ddc87b65c4a340a1eb64e2a6a032228a1a98eb6e8ca18c21bf9aa118d0",
            "model.safetensors": "34de8ee9bf19423e33c3d936b7a601a04c431cd1280b55f2127269372f78bd8b",
        },
    ),
    "cct_imagenette": Preset(
        "CCT-4/7x2 for photos, sequence pooling",
        _imagenette(),
        WEIGHTS / "cct_imagenette",
        {
            "config.json": "f6bb84204b3d6001b0659456c08a8fd3bbb302fc7cad51f154baed05912136bc",
            "model.safetensors": "889d6ba1cd13f12ebdfec445c6d68395fdce903289b152fb10d2f83f29cd93c0",
        },
    ),
    **_comparison_models(),
    **_PAPER_PRESETS,
    "cct_keras_14_7x2_224": Preset("CCT-14/7x2 of CCT-keras, with biases on query, key and value", _cct_keras()),
    "compact_cvt_8_6_32": Preset("CVT-8/6 of CompactTransformers, sequence pooling", _compact_transformers()),
    # The notebook flattens the tokens into a dense head; this preset has a class token, like the paper's ViT-Lite.
    "compact_vit_8_6_32": Preset(
        "ViT-Lite-8/6 of CompactTransformers, class token",
        dataclasses.replace(_compact_transformers(), pool="class_token"),
    ),
}

# The default of the app and the command line: more accurate than the keras.io model, and as fast.
DEFAULT = "cct_2_3x2_32_cifar10"


def configure(
    name: str, *, num_classes: int | None = None, image_size: int | tuple[int, int] | None = None
) -> CCTConfig:
    """The config of a preset or a config.json, optionally with another number of classes or image size.

    Raises:
        ConfigError: no such preset or file, or an impossible size.
    """
    if name in PRESETS:
        config = PRESETS[name].config
    elif Path(name).is_file():
        config = read_config(name)
    else:
        raise ConfigError(f"{name!r} is neither a preset ({suggest(name)}) nor an existing config.json")
    if num_classes is not None and num_classes != config.num_classes:
        config = dataclasses.replace(config, labels=numbered_labels(num_classes))
    if image_size is not None:
        size = tuple(image_size) if isinstance(image_size, (tuple, list)) else (image_size, image_size)
        config = dataclasses.replace(config, image_size=size)  # type: ignore[arg-type]  # CCTConfig refuses other lengths
    return config


def suggest(name: str) -> str:
    """A hint about a name that is not a preset, to be put in parentheses in an error message."""
    close = difflib.get_close_matches(name, PRESETS, n=3)
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    return f"'python -m cct_viz models' lists them{hint}"


def where_to_get(name: str) -> str:
    """How to get weights that are not bundled; one sentence without a full stop."""
    if file := PRESETS[name].published:
        return (
            f"the paper's authors publish {file} (linked in the README of {AUTHORS}); download it and run "
            f"'python -m cct_viz convert {file} --arch {name} --out DIR', then load DIR"
        )
    return f"train it with 'python -m cct_viz train --arch {name}', or build it untrained with cct_viz.build"
