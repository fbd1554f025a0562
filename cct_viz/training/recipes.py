"""Training recipes as data, and one sentence that describes a recipe."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """How a model is trained: AdamW with linear warm-up and cosine decay; weight decay acts on matrices only.

    Stochastic depth is part of the model's config, not of the recipe.

    Attributes:
        learning_rate, final_learning_rate: after the warm-up, and at the end of the cosine.
        gradient_clip: maximum global norm of the gradients; 0 turns clipping off.
        ema: momentum of the exponential moving average of the weights, which is validated and saved; 0 turns it off.
        rand_augment: magnitude in 0..10 of RandAugment, two operations for each image; 0 turns it off.
        mixup, cutmix: alpha of the Beta distribution of the other image's share; 0 turns it off. If both are on, each
            batch gets one of the two at random.
        mixed_share: share of the epochs, from the first, with mixup and cutmix.
        random_erasing: share of the images in which noise replaces a rectangle.
        mixed_batches: share of the batches in those epochs that are mixed.
        smallest_crop: random parts of the pictures are scaled to the model's size, with this share of the area or more
            (`resized_crops`); 0 shifts the pictures by up to 4 pixels instead. Pictures of a folder are then read
            larger than the model's input.
        jitter: brightness and contrast are multiplied by random factors in 1 - jitter to 1 + jitter; 0 turns it off.

    Raises:
        ValueError: epochs, batch size or learning rate not above 0, or a negative number.
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
    mixed_batches: float = 1.0
    smallest_crop: float = 0.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected more than 0")
        for name in ("warmup_epochs", "weight_decay", "label_smoothing"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 or more")
        for name in ("mixed_batches", "smallest_crop", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected 0 to 1")
        if self.label_smoothing >= 1:
            raise ValueError(f"label_smoothing is {self.label_smoothing}; expected less than 1")


RECIPES = {
    # The learning rate and weight decay of the keras.io example; warm-up and cosine decay are ours.
    "keras_io": Recipe(epochs=30),
    # For small models and few epochs, where stronger augmentation causes underfitting.
    "fast": Recipe(epochs=60, learning_rate=1.5e-3, warmup_epochs=3.0, weight_decay=0.06),
    # For a trained model, which already fits the plain images: mild distortions still improve it.
    "fine_tune": Recipe(epochs=40, learning_rate=1e-3, warmup_epochs=2.0, weight_decay=0.06, rand_augment=4.0),
    # configs/pretrained/cct_7-3x1_cifar10_300epochs.yml of the authors' repository, without the crop's random scale.
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
    # For photos larger than the model's input: thousands of them, trained from random weights or further.
    "photos": Recipe(
        epochs=40,
        batch_size=64,
        learning_rate=1e-3,
        warmup_epochs=3.0,
        weight_decay=0.06,
        cutmix=1.0,
        mixed_batches=0.4,
        smallest_crop=0.3,
        jitter=0.3,
    ),
}
# Random crops are cut from pictures of this many times the model's side: 160 pixels for a model with 128.
CROP_MARGIN = 1.25
DEFAULT_RECIPE, DEFAULT_RECIPE_OF_TRAINED = "keras_io", "fine_tune"
# The values of a recipe that the command line can replace.
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
    """Describe the recipe in words, without epochs, steps and batch size."""
    parts = [
        f"AdamW (learning rate {recipe.learning_rate:g}, warm-up epochs {recipe.warmup_epochs:g}, cosine decay to "
        f"{recipe.final_learning_rate:g}, weight decay {recipe.weight_decay:g} on matrices only)",
        f"label smoothing {recipe.label_smoothing:g}",
        f"random crops of {recipe.smallest_crop:.0%} to 100% of the area, stretched by 3/4 to 4/3, edges reflected"
        if recipe.smallest_crop
        else "random crops with 4 pixels of reflection padding",
        "random horizontal flips",
    ]
    if recipe.jitter:
        parts.append(f"brightness and contrast times {1 - recipe.jitter:g} to {1 + recipe.jitter:g}")
    if recipe.rand_augment:
        parts.append(f"RandAugment with magnitude {recipe.rand_augment:g}")
    mixes = [f"{name} (alpha {getattr(recipe, name):g})" for name in ("mixup", "cutmix") if getattr(recipe, name)]
    if mixes:
        batches = "" if recipe.mixed_batches == 1 else f" on {recipe.mixed_batches:.0%} of the batches"
        epochs = "" if recipe.mixed_share == 1 else f" in the first {recipe.mixed_share:.0%} of the epochs"
        parts.append(f"{' or '.join(mixes)}{batches}{epochs}")
    if recipe.random_erasing:
        parts.append(f"random erasing in {recipe.random_erasing:.0%} of the images")
    if recipe.gradient_clip:
        parts.append(f"gradients clipped to norm {recipe.gradient_clip:g}")
    if recipe.ema:
        parts.append(f"exponential moving average of the weights with momentum {recipe.ema:g}")
    parts.append("bfloat16 arithmetic with float32 weights" if recipe.mixed_bfloat16 else "float32 arithmetic")
    return ", ".join(parts)
