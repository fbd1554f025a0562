"""From a trained model to a checkpoint folder: weights, metrics, and a card that says how to repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from ..architecture.config import CCTConfig
from ..architecture.files import sha256
from ..architecture.keras_model import CCT, named_weights
from ..checkpoints import safetensors
from ..inference.load import METRICS, open_folder
from .curves import draw_curves
from .data import Images, is_cifar10
from .evaluate import Metrics, evaluate
from .recipes import OPTIONS, Recipe, describe_recipe
from .start import Start
from .train import HISTORY

CURVES = "learning_curves.png"
TOLERANCE = 0.001  # of top-1 accuracy, for weights stored as float16

_CARD = """---
{licence}library_name: keras
pipeline_tag: image-classification
tags: [cct, compact-convolutional-transformer, {pool}]
{dataset}---

# {name}

A compact transformer with {parameters:,} parameters ({layers} layers, {heads} heads, width {width}, {tokens} tokens).
{begun}

| on {images:,} validation images | |
|---|---|
{results}

## How it was made

{commands}

- Data: {data}. {trained:,} images are for training, {images:,} for validation. {split} The validation images were not
  used to choose anything: these are the weights after the last epoch.
- Recipe: {epochs} epochs of {steps} steps, batch {batch_size}, {recipe}, stochastic depth {stochastic_depth:g}, seed
  {seed}.
- Software: Keras {keras} on {backend}.
- To repeat the metrics: `python -m cct_viz evaluate --model {name} --data {data_argument}`

## Files

| file | SHA-256 |
|---|---|
{files}

The weights are stored as {dtype}.
{prior}"""

_AT_RANDOM = "This project's code trained it from random weights, only on the data named below."
_FROM = """This project's code trained it on the data named below, starting from the weights of `{name}`{revision}
(SHA-256 of model.safetensors: `{sha256}`).
{origin} This card describes the last training."""
_KNOWN = "In the list below, the commands that made those weights come first."
_UNKNOWN = "Their training data are not known, and may include the validation images."

_LAST_TENTH = """The
  images are ordered by the SHA-256 of their bytes, and the last ones are for validation."""
_SEPARATE = """They
  are in folders or files of their own."""

_PRIOR = """`position_prior` in `metrics.json` is the mean pooling weight of each token over the {images:,} validation
images, tokens row by row.
"""

_CIFAR10_CARD = """datasets: [uoft-cs/cifar10]
model-index:
- name: {name}
  results:
  - task: {{type: image-classification}}
    dataset: {{name: CIFAR-10, type: uoft-cs/cifar10, split: validation}}
    metrics:
    - {{type: accuracy, value: {accuracy:.4f}}}
    - {{type: top_5_accuracy, value: {top5:.4f}}}
"""


@dataclass(frozen=True)
class DataSource:
    """What a card says about the images, which it cannot include.

    Attributes:
        description: which images they are, and under which terms; without a full stop.
        argument: the options of `train` that give them.
        evaluated: the --data of `evaluate` that gives the validation images.
        separate: whether the validation images are a folder or file of their own.
        start_description: where the weights come from with which the training started, if their own card does not say.
    """

    description: str = "not published"
    argument: str = "--data DATA"
    evaluated: str = "VALIDATION"
    separate: bool = False
    start_description: str | None = None


UNPUBLISHED = DataSource()
CIFAR10 = DataSource("the 50,000 training images of CIFAR-10 (Krizhevsky 2009)", "--data cifar10", "cifar10")


def finish(
    model: CCT,
    recipe: Recipe,
    out: Path,
    *,
    choices: Sequence[str],
    training: Images,
    validation: Images,
    start: Start | None = None,
    source: DataSource = UNPUBLISHED,
    float16: bool = False,
) -> Metrics:
    """Write weights, metrics, learning curves and card of a trained model to `out`; return its validation
    metrics.

    Args:
        choices: the options that chose model and recipe, as ("--arch", "cct_2_3x2_32"), for the card.
        start: the trained weights with which the training started, None for random weights.
        source: what the card says about the images, unless they are CIFAR-10.
        float16: store the weights as float16 if top-1 accuracy then falls by less than `TOLERANCE`.
    """
    weights = {name: keras.ops.convert_to_numpy(v).astype(np.float32) for name, v in named_weights(model).items()}
    metrics, dtype = _store(out, model.config, weights, validation, float16=float16)
    (out / METRICS).write_text(json.dumps({**metrics.record(), "labels": model.config.labels}) + "\n")
    draw_curves(json.loads((out / HISTORY).read_text()), out / CURVES)
    files = ("config.json", "model.safetensors", METRICS, HISTORY, CURVES)
    cifar10 = is_cifar10(training, validation)
    held_out = start is None or start.held_out
    source = CIFAR10 if cifar10 else source
    command = _command(recipe, choices, out.name, source) + " --float16" * float16
    card = _CARD.format(
        name=out.name,
        licence=_licence(start),
        dataset=_CIFAR10_CARD.format(name=out.name, **metrics.summary())
        if cifar10 and held_out and metrics.top5
        else "",
        pool=model.config.pool,
        data=source.description,
        data_argument=source.evaluated,
        split=_SEPARATE if source.separate else _LAST_TENTH,
        trained=len(training.x),
        parameters=sum(array.size for array in weights.values()),
        layers=model.config.num_layers,
        heads=model.config.num_heads,
        width=model.config.embedding_dim,
        tokens=model.config.num_tokens,
        stochastic_depth=model.config.stochastic_depth,
        steps=len(training.x) // recipe.batch_size,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        recipe=describe_recipe(recipe),
        seed=recipe.seed,
        keras=keras.__version__,
        backend=keras.backend.backend(),
        begun=_describe_start(start, source),
        dtype=dtype,
        commands="\n".join(f"    {line}" for line in (*(start.commands if start else ()), command)),
        prior="" if metrics.position_prior is None else _PRIOR.format(images=metrics.images),
        results="\n".join(f"| {name} | {value} |" for name, value in metrics.rows()),
        files="\n".join(f"| {file} | `{sha256(out / file)}` |" for file in files),
        **metrics.summary(),
    )
    (out / "README.md").write_text(card)
    return metrics


def _store(
    out: Path, config: CCTConfig, weights: dict[str, np.ndarray], validation: Images, *, float16: bool
) -> tuple[Metrics, str]:
    """Write the weights; return their metrics and the dtype in which they are stored."""

    def write(dtype: Literal["float32", "float16"]) -> Metrics:
        safetensors.write(out, config, weights, dtype=dtype)
        return evaluate(open_folder(out, "folder", out.name), validation)

    metrics = write("float32")
    if not float16:
        return metrics, "float32"
    halves = write("float16")
    if halves.accuracy > metrics.accuracy - TOLERANCE:
        return halves, "float16"
    return write("float32"), "float32"


def _licence(start: Start | None) -> str:
    """This project's licence for a model trained from random weights; otherwise the licence of the initial weights."""
    licence = start.licence if start else "apache-2.0"
    return f"license: {licence}\n" if licence else ""


def _describe_start(start: Start | None, source: DataSource) -> str:
    if start is None:
        return _AT_RANDOM
    return _FROM.format(
        name=start.name,
        revision=f" at commit {start.revision}" if start.revision else "",
        sha256=start.sha256,
        origin=_KNOWN if start.commands else source.start_description or _UNKNOWN,
    )


def _command(recipe: Recipe, choices: Sequence[str], out: str, source: DataSource) -> str:
    """The command that repeats this training, on any machine."""
    words = ["python -m cct_viz train", *map(shlex.quote, choices), source.argument, f"--out {shlex.quote(out)}"]
    for name in OPTIONS:
        value, option = getattr(recipe, name), "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not False:
            words.append(f"{option} {value}")
    return " ".join(words)
