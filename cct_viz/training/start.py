"""Where a training begins when not at random weights: a trained model, with a new head where its classes differ."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..classifier import Classifier
from ..config import CCTConfig, numbered_labels
from .data import DataError, Images


@dataclass(frozen=True, eq=False)
class Start:
    """Trained weights to begin with in place of random ones.

    Attributes:
        name, sha256: of the checkpoint they are from, and of its model.safetensors.
        config: the model to train, which is the checkpoint's but for its classes.
        weights: by their canonical names; the head begins at random, and is not among them, where the classes differ.
        commands: those that made the checkpoint, where its card names them.
    """

    name: str
    sha256: str
    config: CCTConfig
    weights: Mapping[str, np.ndarray]
    commands: tuple[str, ...] = ()


def start_from(classifier: Classifier, images: Images) -> Start:
    """Begin with what `classifier` learned, to go on with `images`, all there are. Its head is kept where they name the
    same classes, or name none and have as many.

    Raises:
        DataError: the images have another size than the classifier's.
    """
    config, size = classifier.config, images.x.shape[1:3]
    if size != config.image_size:
        raise DataError(
            f"the images are {size[0]} x {size[1]} pixels; {classifier.source.name} was trained on "
            f"{config.image_size[0]} x {config.image_size[1]}, and so must they be"
        )
    weights, classes = dict(classifier.weights), int(images.y.max()) + 1
    unnamed = config.labels if classes == config.num_classes else numbered_labels(classes)
    if (labels := images.labels or unnamed) != config.labels:
        config = dataclasses.replace(config, labels=labels)
        weights = {name: array for name, array in weights.items() if not name.startswith("head/")}
    card = classifier.folder / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    commands = tuple(re.findall(r"^    (python -m cct_viz train .*)$", text, re.MULTILINE))
    return Start(classifier.source.name, classifier.source.sha256, config, weights, commands)
