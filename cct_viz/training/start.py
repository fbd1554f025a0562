"""Where a training begins: an architecture at random weights, or a trained model, with the classes of the images."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..architecture.config import CIFAR10_LABELS, CCTConfig, Pool, numbered_labels
from ..architecture.presets import PRESETS, configure
from ..checkpoints.cache import sha256
from ..checkpoints.safetensors import WEIGHTS_FILE
from ..inference.classifier import Classifier
from .data import DataError, Images, is_cifar10

# Words that need no quoting, so that a card from elsewhere cannot slip another command into ours.
_COMMAND = re.compile(r"^    (python -m cct_viz train [\w ./+-]+)$", re.MULTILINE)


@dataclass(frozen=True, eq=False)
class Start:
    """Trained weights to begin with in place of random ones.

    Attributes:
        name, revision: of the checkpoint they are from; the revision is a Hub repo's commit.
        sha256: of its model.safetensors, or of the one that this project makes of another format.
        config: the model to train, which is the checkpoint's but for its classes.
        weights: by their canonical names; the head is not among them where the classes differ, and begins at random.
        commands: those that made the checkpoint, where its card names them and the hash of its weights.
        licence: as its card has it.
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
        """Whether the checkpoint is known to have seen no validation image of CIFAR-10."""
        return bool(self.commands) and all(" --data cifar10 " in command for command in self.commands)


def start_from(classifier: Classifier, images: Images) -> Start:
    """Begin with what `classifier` learned, to go on with `images`, all there are.

    Its head is kept where the classes have the same names. Images without names of classes have CIFAR-10's if they are
    CIFAR-10's, and otherwise numbers.

    Raises:
        DataError: the images have another size than the classifier takes.
    """
    config, size = classifier.config, images.x.shape[1:3]
    if size != config.image_size:
        raise DataError(
            f"the images are {size[0]} x {size[1]} pixels and {classifier.source.name} takes "
            f"{config.image_size[0]} x {config.image_size[1]}: scale them, or name a folder of pictures"
        )
    weights = dict(classifier.weights)
    unnamed = CIFAR10_LABELS if is_cifar10(images) else numbered_labels(int(images.y.max()) + 1)
    if (labels := images.labels or unnamed) != config.labels:
        config = dataclasses.replace(config, labels=labels)
        weights = {name: array for name, array in weights.items() if not name.startswith("head/")}
    source, folder = classifier.source, classifier.folder
    digest = sha256(folder / WEIGHTS_FILE) if folder and (folder / WEIGHTS_FILE).is_file() else source.sha256
    card = _read_card(folder) if folder else ""
    commands = tuple(_COMMAND.findall(card)) if digest in card else ()
    licence = re.search(r"^license: ([\w.-]+)$", card, re.MULTILINE)
    return Start(source.name, source.revision, digest, config, weights, commands, licence and licence[1])


def untrained_config(arch: str, images: Images, *, pool: Pool | None = None) -> CCTConfig:
    """The named architecture with the classes and the size of `images`, all there are, and with another pool if given.

    Images without names of classes have a config.json's; a preset's own only if they are CIFAR-10's.

    Raises:
        ConfigError: no such architecture, or a size that leaves no token.
    """
    classes = int(images.y.max()) + 1
    config = configure(arch, num_classes=classes, image_size=images.x.shape[1:3])
    config = dataclasses.replace(config, pool=pool or config.pool)
    if images.labels:
        return dataclasses.replace(config, labels=images.labels)
    if arch in PRESETS and not is_cifar10(images):
        return dataclasses.replace(config, labels=numbered_labels(classes))
    return config


def _read_card(folder: Path) -> str:
    try:
        return (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
