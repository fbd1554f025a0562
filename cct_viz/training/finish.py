"""From a trained model to a checkpoint folder: weights, ONNX graph, metrics, and a card that says how to repeat it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from ..architecture.files import sha256
from ..architecture.keras_model import CCT, named_weights
from ..checkpoints import safetensors
from ..checkpoints.cache import export_here
from ..inference.load import METRICS, open_exported
from .curves import draw_curves
from .data import Images, is_cifar10
from .evaluate import Metrics, evaluate
from .recipes import OPTIONS, Recipe, describe_recipe
from .start import Start
from .train import HISTORY

CURVES = "learning_curves.png"

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

- Data: {data}. {trained:,} images are for training, {images:,} for validation. The
  images are ordered by the SHA-256 of their bytes, and the last ones are for validation. The validation images were not
  used to choose anything: these are the weights after the last epoch.
- Recipe: {epochs} epochs of {steps} steps, batch {batch_size}, {recipe}, stochastic depth {stochastic_depth:g}, seed
  {seed}.
- Software: Keras {keras} on {backend}.
- To repeat the metrics: `python -m cct_viz evaluate --model {name} --data {data_argument}`

## Files

| file | SHA-256 |
|---|---|
{files}

`model.onnx` was exported from `config.json` and `model.safetensors`. It is run only if it has this SHA-256.
{prior}"""

_AT_RANDOM = "This project's code trained it from random weights, only on the data named below."
_FROM = """This project's code trained it on the data named below, starting from the weights of `{name}`{revision}
(SHA-256 of model.safetensors: `{sha256}`).
{origin} This card describes the last training."""
_KNOWN = "In the list below, the commands that made those weights come first."
_UNKNOWN = "Their training data are not known, and may include the validation images."

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


def finish(
    model: CCT,
    recipe: Recipe,
    out: Path,
    *,
    choices: Sequence[str],
    training: Images,
    validation: Images,
    start: Start | None = None,
) -> Metrics:
    """Write weights, graph, metrics, learning curves and card of a trained model to `out`; return its validation
    metrics.

    Args:
        choices: the options that chose model and recipe, as ("--arch", "cct_2_3x2_32"), for the card.
        start: the trained weights with which the training started, None for random weights.
    """
    weights = {name: keras.ops.convert_to_numpy(v).astype(np.float32) for name, v in named_weights(model).items()}
    safetensors.write(out, model.config, weights)
    export_here(out)
    metrics = evaluate(open_exported(out, "folder", out.name), validation)
    (out / METRICS).write_text(json.dumps({**metrics.record(), "labels": model.config.labels}) + "\n")
    draw_curves(json.loads((out / HISTORY).read_text()), out / CURVES)
    files = ("config.json", "model.safetensors", "model.onnx", METRICS, HISTORY, CURVES)
    cifar10 = is_cifar10(training, validation)
    held_out = start is None or start.held_out
    command = _command(recipe, choices, out.name, "cifar10" if cifar10 else "DATA")
    card = _CARD.format(
        name=out.name,
        licence=_licence(start),
        dataset=_CIFAR10_CARD.format(name=out.name, **metrics.summary())
        if cifar10 and held_out and metrics.top5
        else "",
        pool=model.config.pool,
        data="the 50,000 training images of CIFAR-10 (Krizhevsky 2009)" if cifar10 else "not published",
        data_argument="cifar10" if cifar10 else "VALIDATION",
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
        begun=_describe_start(start),
        commands="\n".join(f"    {line}" for line in (*(start.commands if start else ()), command)),
        prior="" if metrics.position_prior is None else _PRIOR.format(images=metrics.images),
        results="\n".join(f"| {name} | {value} |" for name, value in metrics.rows()),
        files="\n".join(f"| {file} | `{sha256(out / file)}` |" for file in files),
        **metrics.summary(),
    )
    (out / "README.md").write_text(card)
    return metrics


def _licence(start: Start | None) -> str:
    """This project's licence for a model trained from random weights; otherwise the licence of the initial weights."""
    licence = start.licence if start else "apache-2.0"
    return f"license: {licence}\n" if licence else ""


def _describe_start(start: Start | None) -> str:
    if start is None:
        return _AT_RANDOM
    return _FROM.format(
        name=start.name,
        revision=f" at commit {start.revision}" if start.revision else "",
        sha256=start.sha256,
        origin=_KNOWN if start.commands else _UNKNOWN,
    )


def _command(recipe: Recipe, choices: Sequence[str], out: str, data: str) -> str:
    """The command that repeats this training, on any machine."""
    words = ["python -m cct_viz train", *map(shlex.quote, choices), f"--data {data}", f"--out {shlex.quote(out)}"]
    for name in OPTIONS:
        value, option = getattr(recipe, name), "--" + name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not False:
            words.append(f"{option} {value}")
    return " ".join(words)
