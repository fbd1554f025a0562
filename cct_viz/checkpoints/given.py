"""Where the classes and the scale of pixels come from: the file, the user, or an assumption that is said aloud.

A file of weights rarely says what its classes are called or how pixels were scaled for it. `Given` carries the user's
answers to a reader; `complete` puts them into the configuration, or writes what was assumed into
`CCTConfig.assumptions`, which the page, the card and the command line show.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..architecture.config import CCTConfig, ConfigError, Preprocessing, numbered_labels

Numbers = tuple[float, ...]


@dataclass(frozen=True)
class Given:
    """A user's answers; None leaves the question to the file, and then to an assumption.

    Attributes:
        arch: a preset's name or a config.json, for files of PyTorch.
        new_head: number of classes of a new, untrained classifier that replaces the file's; True for the number of
            `arch`.
        image_size: (height, width) in pixels.
        labels: the names of the classes, in order.
        scale: what pixels 0..255 were divided by; 255 gives 0..1, and 1 leaves them.
        mean, std: of pixels in 0..1, one number for each input channel; subtracted and divided by.
        heads: number of attention heads.
        activation: the form of GELU, a name in ACTIVATIONS.
        epsilon: of LayerNormalization.
        stride: stride of the tokenizer's convolutions.
        ema: read the averaged weights, where a file holds both.

    Raises:
        ConfigError: numbers that no model can have, or both a scale and a normalisation.
    """

    arch: str | None = None
    new_head: int | bool | None = None
    image_size: tuple[int, int] | None = None
    labels: tuple[str, ...] | None = None
    scale: float | None = None
    mean: Numbers | None = None
    std: Numbers | None = None
    heads: int | None = None
    activation: str | None = None
    epsilon: float | None = None
    stride: int | None = None
    ema: bool = False

    def __post_init__(self) -> None:
        if self.scale is not None and (self.mean or self.std):
            raise ConfigError("a scale and a normalisation were both given; give --scale, or --mean and --std")
        if (self.mean is None) != (self.std is None):
            raise ConfigError("only one of mean and std was given; give both --mean and --std")
        if self.image_size is not None and (
            len(self.image_size) != 2 or any(type(s) is not int for s in self.image_size)
        ):
            raise ConfigError(f"image_size is {self.image_size}; expected (height, width), whole pixels")
        if self.new_head is not None and (not isinstance(self.new_head, int) or self.new_head is False):
            raise ConfigError(
                f"new_head is {self.new_head!r}; expected a number of classes, or True for the architecture's"
            )
        for name in ("scale", "heads", "stride", "epsilon"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value}; expected more than 0")
        _ = self.preprocessing  # which checks its numbers

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the answers that were given."""
        return tuple(f.name for f in dataclasses.fields(self) if getattr(self, f.name) != f.default)

    @property
    def preprocessing(self) -> Preprocessing | None:
        """The normalisation that was given, or None; `for_channels` fits it to a model."""
        if self.scale is not None:
            return Preprocessing(std=(self.scale / 255,) * 3)
        if self.mean is None or self.std is None:
            return None
        count = max(len(self.mean), len(self.std))
        mean, std = (numbers * count if len(numbers) == 1 else numbers for numbers in (self.mean, self.std))
        return Preprocessing(mean, std)


NOTHING = Given()
DIVIDED_BY_255 = Preprocessing()
_CLASSES = "The file does not name its classes: "
_PIXELS = "The file does not say how pixels were "
ASSUMED_PIXELS = f"{_PIXELS}scaled: division by 255 is assumed, without normalisation."
ASSUMED_LABELS = f"{_CLASSES}they are numbered."


def complete(
    config: CCTConfig, given: Given, *, says_labels: bool, says_pixels: bool, preset: str | None = None
) -> CCTConfig:
    """`config` with the given labels and normalisation; what neither the user nor the file says is assumed, aloud.

    Args:
        config: as read from a file. Where the file says nothing, its labels are numbers and its preprocessing is the
            one that the reader assumes.
        says_labels, says_pixels: whether the file itself names the classes, and says how pixels are scaled.
        preset: the architecture that the labels of `config` come from, if no file named them.

    Raises:
        ConfigError: another number of labels than classes.
    """
    assumptions = [text for text in config.assumptions if not _answers(given, text)]
    if given.labels is not None:
        if len(given.labels) != config.num_classes:
            raise ConfigError(f"{len(given.labels)} labels were given, but the model has {config.num_classes} classes")
        config = dataclasses.replace(config, labels=given.labels)
    elif not says_labels and preset is not None and config.labels != numbered_labels(config.num_classes):
        assumptions.append(f"{_CLASSES}those of {preset} are assumed.")
    elif not says_labels:
        config = dataclasses.replace(config, labels=numbered_labels(config.num_classes))
        assumptions.append(ASSUMED_LABELS)
    if given.preprocessing is not None:
        config = dataclasses.replace(config, preprocessing=given.preprocessing.for_channels(config.channels))
    elif not says_pixels:
        assumptions.append(_describe(config.preprocessing))
    return dataclasses.replace(config, assumptions=tuple(assumptions))


def _answers(given: Given, assumption: str) -> bool:
    """Whether an earlier assumption, from a config.json, no longer holds."""
    if assumption.startswith(_CLASSES):
        return given.labels is not None
    return assumption.startswith(_PIXELS) and given.preprocessing is not None


def _describe(preprocessing: Preprocessing) -> str:
    if preprocessing == DIVIDED_BY_255.for_channels(preprocessing.channels):
        return ASSUMED_PIXELS
    mean, std = (" ".join(f"{number:g}" for number in numbers) for numbers in (preprocessing.mean, preprocessing.std))
    return f"{_PIXELS}normalised: mean {mean} and std {std} of pixels in 0..1 are assumed."
