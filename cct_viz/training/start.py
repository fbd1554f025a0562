"""The start of a training: random or trained weights, with the classes of the images."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..architecture.config import CIFAR10_LABELS, CCTConfig, numbered_labels
from ..architecture.files import sha256
from ..architecture.presets import PRESETS, configure
from ..checkpoints.safetensors import WEIGHTS_FILE
from ..inference.classifier import Classifier
from .data import DataError, Images, count_classes, is_cifar10

# Only characters that need no quoting, so that a foreign card cannot put another command into our card.
_COMMAND = re.compile(r"^    (python -m cct_viz train [\w ./+-]+)$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Start:
    """Trained weights with which a training starts, instead of random ones.

    Attributes:
        name, revision: of the checkpoint; the revision is a Hub repo's commit.
        sha256: of its model.safetensors, or of the one that this project writes for another format.
        config: the model to train: the checkpoint's, with the classes of the images.
        weights: by their canonical names. If the classes differ, the head is missing and starts from random weights.
        commands: the commands that made the checkpoint, if its card has them and the hash of its weights.
        licence: the licence in its card.
    """

    name: str
    revision: str | None
    sha256: str
    config: CCTConfig
    weights: Mapping[str, np.ndarray]
    commands: tuple[str, ...] = ()
    licence: str | None = None

    @property
    def held_out(self) -> bool:
        """Whether the checkpoint certainly was not trained on CIFAR-10's validation images."""
        return bool(self.commands) and all(" --data cifar10 " in command for command in self.commands)


def start_from(classifier: Classifier, images: Images) -> Start:
    """Start from the weights of `classifier`, to continue with `images` (training and validation images together).

    The head is kept if the class names are the same. If the images have no class names, they get CIFAR-10's if they are
    CIFAR-10, and numbers otherwise.

    Raises:
        DataError: the images have another size than the classifier's input.
    """
    config, size = classifier.config, images.x.shape[1:3]
    if size != config.image_size:
        raise DataError(
            f"the images have {size[0]} x {size[1]} pixels, but {classifier.source.name} needs "
            f"{config.image_size[0]} x {config.image_size[1]}: scale them, or use a folder of pictures"
        )
    weights = dict(classifier.weights)
    unnamed = CIFAR10_LABELS if is_cifar10(images) else numbered_labels(_count_classes(images, config))
    if (labels := images.labels or unnamed) != config.labels:
        config = dataclasses.replace(config, labels=labels)
        weights = {name: array for name, array in weights.items() if not name.startswith("head/")}
    source, folder = classifier.source, classifier.folder
    digest = sha256(folder / WEIGHTS_FILE) if folder and (folder / WEIGHTS_FILE).is_file() else source.sha256
    card = _read_card(folder) if folder else ""
    commands = tuple(_COMMAND.findall(card)) if digest in card else ()
    licence = re.search(r"^license: ([\w.-]+)$", card, re.MULTILINE)
    return Start(source.name, source.revision, digest, config, weights, commands, licence and licence[1])


def untrained_config(arch: str, images: Images, *, pool: str | None = None) -> CCTConfig:
    """The architecture with the classes and the size of `images` (all of them), and another pool if given.

    If the images have no class names, they get those of a config.json; those of a preset only if they are CIFAR-10.

    Raises:
        ConfigError: no such architecture or pool, or images too small for one token.
    """
    classes = _count_classes(images, configure(arch))
    config = configure(arch, num_classes=classes, image_size=images.x.shape[1:3])
    config = dataclasses.replace(config, pool=config.pool if pool is None else pool)
    if images.labels:
        return dataclasses.replace(config, labels=images.labels)
    if arch in PRESETS and not is_cifar10(images):
        return dataclasses.replace(config, labels=numbered_labels(classes))
    return config


def _count_classes(images: Images, config: CCTConfig) -> int:
    """The classes of the images; one if the model has one, for which 0 and 1 say no and yes."""
    count = count_classes(images.y)
    return 1 if config.num_classes == 1 and images.y.ndim == 1 and count <= 2 else count


def _read_card(folder: Path) -> str:
    try:
        return (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
