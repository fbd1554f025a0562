"""Epochs on one accelerator: images, augmentation, model and optimizer in one compiled loop, on JAX.

The step is Keras's own `train_step`, so loss, optimizer and metrics are those of `model.fit`. What differs is where the
images are and who draws the random numbers. A script of the same form took 3.5 s for an epoch of CCT-7/3x1 with 45,000
images in batches of 256 on an NVIDIA H100; this module has only run on CPUs so far.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np
from jax import Array

from ..architecture.config import CCTConfig
from ..architecture.keras_model import CCT
from . import augmentation_on_device as augmentation
from .data import Images, make_targets
from .recipes import Recipe

State = Any  # trainable, other, optimizer's and metrics' variables: lists of arrays, as `train_step` takes them


def prepare_batch(
    images: Array, targets: Array, key: Array, config: CCTConfig, recipe: Recipe, mixes: Array | bool
) -> tuple[Array, Array]:
    """Augment and normalise a (n, H, W, 3) uint8 batch, in the order of `train.Batches`.

    Args:
        targets: (n, K) float32.
        mixes: whether mixup and cutmix are on in this epoch.

    Returns:
        (n, h, w, C) float32 and (n, K) float32.
    """
    preprocessing = config.preprocessing
    crop_key, jitter_key, operation_key, erase_key, coin_key, mix_key = jax.random.split(key, 6)
    pixels = images.astype(jnp.float32)
    if recipe.smallest_crop:
        pixels = augmentation.resized_crops(
            pixels,
            config.image_size,
            crop_key,
            smallest=recipe.smallest_crop,
            interpolation=preprocessing.interpolation,
        )
    else:
        pixels = augmentation.augment(pixels, crop_key)
    if recipe.jitter:
        pixels = augmentation.jitter(pixels, jitter_key, strength=recipe.jitter)
    if recipe.rand_augment:
        pixels = augmentation.rand_augment(pixels, operation_key, magnitude=recipe.rand_augment)
    if config.channels == 1:
        pixels = augmentation.luminance(pixels)
    x = (pixels / 255 - jnp.array(preprocessing.mean)) / jnp.array(preprocessing.std)
    if recipe.random_erasing:
        x = augmentation.erase(x, erase_key, share=recipe.random_erasing)
    if recipe.mixup or recipe.cutmix:
        mixed_x, mixed_y = augmentation.mix(x, targets, mix_key, mixup=recipe.mixup, cutmix=recipe.cutmix)
        mixes &= jax.random.bernoulli(coin_key, recipe.mixed_batches)
        x, targets = jnp.where(mixes, mixed_x, x), jnp.where(mixes, mixed_y, targets)
    return x, targets


def make_fit(
    model: CCT,
    training: Images,
    validation: tuple[np.ndarray, np.ndarray],
    recipe: Recipe,
    callbacks: list[keras.callbacks.Callback],
) -> Callable[[int], None]:
    """A function that does for the epoch of a number what `model.fit` does: trains, validates, calls the callbacks.

    Args:
        model: compiled by `train.compile_model`.
        validation: x (n, h, w, C) and y (n, K) float32.
        callbacks: they hear of the beginning and end of an epoch, of its last batch and of the validation.
    """
    steps = len(training.x) // recipe.batch_size

    def evaluate(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
        logs: dict[str, float] = model.evaluate(x, y, 500, verbose=0, callbacks=callbacks, return_dict=True)
        return logs

    evaluate(*(array[:1] for array in validation))  # which builds the metrics
    train_epoch = _compile_epoch(model, training, recipe, steps)
    hooks = keras.callbacks.CallbackList(callbacks, model=model, steps=steps, epochs=recipe.epochs)

    def fit(epoch: int) -> None:
        hooks.on_epoch_begin(epoch)
        logs = train_epoch(epoch)
        hooks.on_train_batch_end(steps - 1)
        logs |= {f"val_{name}": value for name, value in evaluate(*validation).items()}
        hooks.on_epoch_end(epoch, logs)

    return fit


def _compile_epoch(model: CCT, training: Images, recipe: Recipe, steps: int) -> Callable[[int], dict[str, float]]:
    """A function that trains `model` for the epoch of a number and returns the means of loss and metrics. A batch
    depends only on seed, epoch and index."""
    config = model.config
    x, y = jnp.asarray(training.x), jnp.asarray(make_targets(training.y, config.num_classes))

    @partial(jax.jit, donate_argnums=0)
    def run(state: State, key: Array, mixes: Array) -> tuple[State, dict[str, Array]]:
        order_key, batch_key = jax.random.split(key)
        order = jax.random.permutation(order_key, len(x))[: steps * recipe.batch_size]

        def step(state: State, drawn: tuple[Array, Array]) -> tuple[State, dict[str, Array]]:
            chosen, key = drawn
            logs, state = model.train_step(state, prepare_batch(x[chosen], y[chosen], key, config, recipe, mixes))
            return state, logs

        state, logs = jax.lax.scan(step, state, (order.reshape(steps, -1), jax.random.split(batch_key, steps)))
        return state, {name: values[-1] for name, values in logs.items()}  # metrics are means over the steps so far

    def train_epoch(epoch: int) -> dict[str, float]:
        model.reset_metrics()
        groups = (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
        mixes = epoch < round(recipe.mixed_share * recipe.epochs)
        key = jax.random.fold_in(jax.random.key(recipe.seed), epoch)
        state, logs = run(tuple([v.value for v in group] for group in groups), key, jnp.asarray(mixes))
        for group, values in zip(groups, state, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return {name: float(keras.ops.convert_to_numpy(value)) for name, value in logs.items()}

    return train_epoch
