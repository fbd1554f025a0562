"""`python -m cct_viz train`: from images to a checkpoint folder. A training can be interrupted at any time."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ..architecture.config import CCTConfig
from ..architecture.files import replace_file
from ..architecture.keras_model import CCT, build_model, named_weights
from ..architecture.outputs import find_output
from ..checkpoints import assign
from ..images.preprocessing import normalise
from .augmentation import augment, erase, jitter, mix, rand_augment, resized_crops
from .data import DataError, Images, check_classes, digest, make_targets
from .plan import Plan, agree
from .progress import Progress
from .recipes import Recipe
from .start import Start

STATE, HISTORY = "training_state.weights.h5", "history.json"


class Batches(keras.utils.PyDataset):
    """One epoch of shuffled, augmented batches. A batch depends only on seed, epoch and index, so a resumed run gets
    the same batches, and prefetching changes nothing."""

    def __init__(self, images: Images, config: CCTConfig, recipe: Recipe, epoch: int):
        super().__init__()
        self.images, self.config, self.recipe, self.epoch = images, config, recipe, epoch
        self.order = np.random.default_rng((recipe.seed, epoch)).permutation(len(images.x))

    def __len__(self) -> int:
        return len(self.images.x) // self.recipe.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((self.recipe.seed, self.epoch, index))
        chosen = self.order[index * self.recipe.batch_size : (index + 1) * self.recipe.batch_size]
        recipe, preprocessing = self.recipe, self.config.preprocessing
        if recipe.smallest_crop:
            pixels = resized_crops(
                self.images.x[chosen],
                self.config.image_size,
                rng,
                smallest=recipe.smallest_crop,
                interpolation=preprocessing.interpolation,
            )
        else:
            pixels = augment(self.images.x[chosen], rng)
        if recipe.jitter:
            pixels = jitter(pixels, rng, strength=recipe.jitter)
        if recipe.rand_augment:
            pixels = rand_augment(pixels, rng, magnitude=recipe.rand_augment)
        x = normalise(pixels, preprocessing)
        y = make_targets(self.images.y[chosen], self.config.num_classes)
        if recipe.random_erasing:
            x = erase(x, rng, share=recipe.random_erasing)
        if self._mixes and (recipe.mixed_batches == 1 or rng.random() < recipe.mixed_batches):
            x, y = mix(x, y, rng, mixup=recipe.mixup, cutmix=recipe.cutmix)
        return x, y

    @property
    def _mixes(self) -> bool:
        recipe = self.recipe
        return bool(recipe.mixup or recipe.cutmix) and self.epoch < round(recipe.mixed_share * recipe.epochs)


def _seed_epoch(model: CCT, seed: int, epoch: int) -> None:
    """Set every random state for this epoch, so that it does not depend on interruptions."""
    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    rng = np.random.default_rng((seed, epoch))
    for state, start in zip(states, rng.integers(2**31, size=len(states)), strict=True):
        state.assign([int(start), 0])
    keras.utils.set_random_seed(int(rng.integers(2**31)))  # on PyTorch, dropout uses the global generator


class _Resumable(keras.callbacks.Callback):
    """Sets the random state before each epoch; after it, writes weights, optimizer state and history atomically."""

    def __init__(self, out: Path, history: list[dict[str, Any]], seed: int):
        super().__init__()
        self.out, self.history, self.seed = out, history, seed

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        _seed_epoch(self.model, self.seed, epoch)  # not before fit, because its first run consumes random numbers

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.history.append({"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}})
        replace_file(self.out / HISTORY, lambda path: path.write_text(json.dumps(self.history, indent=1)))
        replace_file(self.out / STATE, self.model.save_weights)  # last, since it says how many epochs are done


def compile_model(model: CCT, recipe: Recipe, steps_per_epoch: int) -> None:
    """Compile the model with the optimizer, loss and metrics of the recipe."""
    total = recipe.epochs * steps_per_epoch
    warmup = min(total - 1, round(recipe.warmup_epochs * steps_per_epoch))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        total - warmup,
        alpha=recipe.final_learning_rate / recipe.learning_rate,
        warmup_target=recipe.learning_rate,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(
        schedule,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.gradient_clip or None,
        use_ema=recipe.ema > 0,
        ema_momentum=recipe.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if not v.path.endswith("kernel")])
    smoothing = recipe.label_smoothing
    if find_output(model.config.output).exclusive:
        loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
        top5 = keras.metrics.TopKCategoricalAccuracy(min(5, model.config.num_classes), name="top5")
        metrics = [keras.metrics.CategoricalAccuracy(name="accuracy"), top5]
    else:
        loss = keras.losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
        metrics = [keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)]  # of logits: 0 is 50 %
    model.compile(optimizer, loss, metrics=metrics)
    optimizer.build(model.trainable_variables)


def _count_devices(recipe: Recipe, validation: Images) -> int:
    """The number of devices that share each batch: on JAX all devices that Keras lists, on the other backends one,
    because there Keras cannot distribute.

    Raises:
        DataError: the devices cannot share a batch equally, or there are fewer validation images than devices.
    """
    count = len(keras.distribution.list_devices()) if keras.backend.backend() == "jax" else 1
    fewer = "or let JAX see fewer devices"
    if rest := recipe.batch_size % count:
        raise DataError(
            f"{count} devices cannot share a batch of {recipe.batch_size} images: make it a multiple of {count}, for "
            f"example --batch-size {recipe.batch_size + count - rest}, {fewer}"
        )
    if len(validation.x) < count:
        raise DataError(
            f"{count} devices need {count} validation images, but there are {len(validation.x)}: add some, {fewer}"
        )
    return count


def train(
    config: CCTConfig,
    training: Images,
    validation: Images,
    recipe: Recipe,
    out: Path,
    *,
    start: Start | None = None,
    on_device: bool = False,
) -> CCT:
    """Train `config` on `training`, or continue from the state in `out`, and return the trained model.

    Writes the plan, the history and, after each epoch, the training state to `out`. The validation metrics of each
    epoch go to the history; they are not used to choose anything.

    If JAX sees several devices, they share each batch (`keras.distribution.DataParallel`). The metrics in the history
    then use the largest number of validation images that they can share equally.

    Args:
        on_device: keep images and augmentation on the accelerator too (`on_device`), on JAX. It draws other random
            numbers, so a training cannot switch this option when it resumes.

    Raises:
        DataError: fewer images than one batch, a batch that the devices cannot share, classes that the model does not
            have, `out` has a checkpoint or another training, or `on_device` without JAX or on several devices.
        CheckpointError: the initial weights do not fit the architecture.
    """
    if len(training.x) < recipe.batch_size:
        raise DataError(
            f"{len(training.x)} training images do not fill one batch of {recipe.batch_size}: add some, or use a "
            f"smaller batch, for example --batch-size {len(training.x)}"
        )
    for images in (training, validation):
        check_classes(images.y, config.num_classes)
    if training.y.ndim == 2 and find_output(config.output).exclusive:
        raise DataError('y is a table of images and classes; a config.json with "output": "sigmoid" can learn it')
    devices = _count_devices(recipe, validation)
    if on_device and (keras.backend.backend() != "jax" or devices > 1):
        raise DataError(
            "--on-device needs JAX as the backend (KERAS_BACKEND=jax) and one device; here are "
            f"{keras.backend.backend()} and {devices}"
        )
    out.mkdir(parents=True, exist_ok=True)
    plan = Plan(recipe, config, start.sha256 if start else None, digest(training, validation), on_device)
    agree(out, plan, begun=(out / STATE).exists())
    if devices > 1:
        print(f"Training on {devices} devices", flush=True)
    with keras.distribution.DataParallel().scope() if devices > 1 else contextlib.nullcontext():
        return _fit(config, training, validation, recipe, out, start=start, devices=devices, on_device=on_device)


def _fit(
    config: CCTConfig,
    training: Images,
    validation: Images,
    recipe: Recipe,
    out: Path,
    *,
    start: Start | None,
    devices: int,
    on_device: bool,
) -> CCT:
    """Build the model, load the state in `out` if there is one, and train the remaining epochs."""
    begun = (out / STATE).exists()
    for partial in out.glob(f".*.{STATE}"):  # of a run that was killed while it wrote
        partial.unlink()
    keras.utils.set_random_seed(recipe.seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if recipe.mixed_bfloat16 else "float32")
    try:
        model = build_model(config)
    finally:
        keras.config.set_dtype_policy(policy)
    if start and not begun:
        initial = {name: keras.ops.convert_to_numpy(v) for name, v in named_weights(model).items()}
        assign(model, {**initial, **start.weights})
    steps = len(training.x) // recipe.batch_size
    compile_model(model, recipe, steps)
    history = []
    if begun:
        try:
            model.load_weights(out / STATE)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{out / STATE} is damaged; delete it to start again") from error
        done = int(keras.ops.convert_to_numpy(model.optimizer.iterations)) // steps
        history = json.loads((out / HISTORY).read_text())[:done]
    validated = len(validation.x) // devices * devices
    x = normalise(validation.x[:validated], config.preprocessing)
    y = make_targets(validation.y[:validated], config.num_classes)
    progress = Progress(recipe.epochs, images_per_epoch=steps * recipe.batch_size)
    averages = [keras.callbacks.SwapEMAWeights()] if recipe.ema else []  # validates the average instead of the weights
    callbacks = [*averages, _Resumable(out, history, recipe.seed), progress]
    if on_device:
        from .on_device import make_fit

        fit = make_fit(model, training, (x, y), recipe, callbacks)
    else:

        def fit(epoch: int) -> None:
            model.fit(
                Batches(training, config, recipe, epoch),
                epochs=epoch + 1,
                initial_epoch=epoch,
                validation_data=(x, y),
                validation_batch_size=500 // devices * devices,
                shuffle=False,
                verbose=0,
                callbacks=callbacks,
            )

    for epoch in range(len(history), recipe.epochs):
        if history:  # also without an interruption, because fit ends with the average as weights
            model.load_weights(out / STATE)
        fit(epoch)
    model.load_weights(out / STATE)
    model.optimizer.finalize_variable_values(model.trainable_variables)
    return model
