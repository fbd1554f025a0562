"""How a model is trained, as data: the recipes known by name, and one sentence about any of them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: AdamW with linear warm-up and cosine decay; weight decay acts on matrices only.

    Stochastic depth is no part of it but of the model's config.

    Attributes:
        learning_rate, final_learning_rate: after the warm-up, and at the end of the cosine.
        gradient_clip: largest norm of all gradients together; 0 does not clip.
        ema: momentum of the moving average of the weights, which is what is validated and kept; 0 takes no average.
        rand_augment: magnitude in 0..10 of RandAugment's two operations an image; 0 leaves colours and shapes alone.
        mixup, cutmix: alpha of the Beta distribution from which the share of the other image is drawn; 0 does not mix.
            With both, each batch gets one of the two at random.
        mixed_share: mixup and cutmix end after this share of the epochs.
        random_erasing: share of the images of which a rectangle is replaced by noise.

    Raises:
        ValueError: no epoch, no image in a batch, a learning rate that is not above 0, or a negative number.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 1e-4
    label_smoothing: float = 0.1
    mixed_bfloat16: bool = False
    seed: int = 0
    final_learning_rate: float = 0.0
    gradient_clip: float = 0.0
    ema: float = 0.0
    rand_augment: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mixed_share: float = 1.0
    random_erasing: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0")
        for name in ("warmup_epochs", "weight_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")
        if self.label_smoothing >= 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; expected less than 1")


RECIPES = {
    # The rates of the keras.io example; warm-up and decay are ours.
    "keras_io": Recipe(epochs=30),
    # For small models on few epochs, where stronger augmentation only keeps them from fitting.
    "fast": Recipe(epochs=60, learning_rate=1.5e-3, warmup_epochs=3.0, weight_decay=0.06),
    # For a trained model, which fits the images as they are: mildly distorted ones go on teaching it.
    "fine_tune": Recipe(epochs=40, learning_rate=1e-3, warmup_epochs=2.0, weight_decay=0.06, rand_augment=4.0),
    # configs/pretrained/cct_7-3x1_cifar10_300epochs.yml of the authors' repository, but for the crop's random scale.
    "paper_300": Recipe(
        epochs=300,
        learning_rate=5.5e-4,
        final_learning_rate=1e-5,
        warmup_epochs=10.0,
        weight_decay=0.06,
        rand_augment=9.0,
        mixup=0.8,
        cutmix=1.0,
        mixed_share=175 / 300,
    ),
}
DEFAULT_RECIPE, DEFAULT_RECIPE_OF_TRAINED = "keras_io", "fine_tune"
# What the command line may set otherwise than the recipe has it.
OPTIONS = (
    "epochs",
    "batch_size",
    "learning_rate",
    "warmup_epochs",
    "weight_decay",
    "label_smoothing",
    "mixed_bfloat16",
    "seed",
)


def describe_recipe(recipe: Recipe) -> str:
    """The recipe in words, without epochs, steps and batch size."""
    parts = [
        f"AdamW (learning rate {recipe.learning_rate:g} after {recipe.warmup_epochs:g} warm-up epoch(s), then cosine "
        f"decay to {recipe.final_learning_rate:g}; weight decay {recipe.weight_decay:g} on matrices only)",
        f"label smoothing {recipe.label_smoothing:g}",
        "random crops after reflecting 4 pixels",
        "random mirroring",
    ]
    if recipe.rand_augment:
        parts.append(f"RandAugment of magnitude {recipe.rand_augment:g}")
    mixes = [f"{name} (alpha {getattr(recipe, name):g})" for name in ("mixup", "cutmix") if getattr(recipe, name)]
    if mixes:
        parts.append(f"{' or '.join(mixes)} in the first {recipe.mixed_share:.0%} of the epochs")
    if recipe.random_erasing:
        parts.append(f"random erasing of {recipe.random_erasing:.0%} of the images")
    if recipe.gradient_clip:
        parts.append(f"gradients clipped at norm {recipe.gradient_clip:g}")
    if recipe.ema:
        parts.append(f"moving average of the weights with momentum {recipe.ema:g}")
    parts.append("bfloat16 arithmetic on float32 weights" if recipe.mixed_bfloat16 else "float32 arithmetic")
    return ", ".join(parts)
