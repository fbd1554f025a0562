"""From a trained model to a checkpoint folder: weights, ONNX graph, figures, and a card that says how it was made."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import keras
import numpy as np

from .. import checkpoints
from ..checkpoints import safetensors_dir
from ..classifier import METRICS, Classifier, Source
from ..model import CCT, named_weights
from ..prepare import export_here, sha256
from .data import Images, is_cifar10
from .evaluate import Metrics, evaluate
from .train import HISTORY, Recipe

_CARD = """---
license: apache-2.0
library_name: keras
pipeline_tag: image-classification
tags: [cct, compact-convolutional-transformer, {pool}]
{dataset}---

# {name}

A compact transformer of {parameters:,} parameters ({layers} layers, {heads} heads, width {width}, {tokens} tokens),
trained from random weights on nothing but the data named below, by this project's own code.

| on {images:,} validation images | |
|---|---|
| top-1 accuracy | {accuracy:.2%} |
| top-5 accuracy | {top5:.2%} |
| cross-entropy | {loss:.4f} nats |
| expected calibration error, 15 bins | {ece:.4f} |

## How it was made

    {command}

- Data: {data}. Trained on {trained:,} images, validated on {images:,}: the images are ordered by the SHA-256 of their
  bytes, and the last ones validate. The validation images chose nothing; the last epoch's weights are the ones here.
- Recipe: {epochs} epochs of {steps} steps, batch {batch_size}, AdamW (learning rate {learning_rate:g} after
  {warmup_epochs:g} warm-up epoch(s), then cosine decay to 0; weight decay {weight_decay:g} on matrices only),
  label smoothing {label_smoothing:g}, random crops after reflecting 4 pixels, random mirroring, stochastic depth
  {stochastic_depth:g}, {precision}, seed {seed}.
- Software: Keras {keras} on {backend}.
- Figures repeat with: `python -m cct_viz evaluate --model {name} --data {data_argument}`

## Files

| file | SHA-256 of its content |
|---|---|
{files}

`model.onnx` was exported from `config.json` and `model.safetensors` and is run only while it hashes to this value.
{prior}"""

_PRIOR = """`position_prior` in `metrics.json` is each token's pooling weight averaged over the {images:,} validation
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


def finish(model: CCT, recipe: Recipe, out: Path, *, arch: str, training: Images, validation: Images) -> Metrics:
    """Write weights, graph, metrics and card of a trained model to `out`; return its validation figures."""
    weights = {name: keras.ops.convert_to_numpy(v).astype(np.float32) for name, v in named_weights(model).items()}
    safetensors_dir.write(out, model.config, weights)
    export_here(out)
    checkpoint = checkpoints.read(out)
    classifier = Classifier(out, Source("folder", out.name, sha256(out / "model.safetensors")), checkpoint)
    metrics = evaluate(classifier, validation)
    (out / METRICS).write_text(json.dumps({**metrics.record(), "labels": model.config.labels}) + "\n")
    files = ("config.json", "model.safetensors", "model.onnx", METRICS, HISTORY)
    cifar10 = is_cifar10(training, validation)
    card = _CARD.format(
        name=out.name,
        dataset=_CIFAR10_CARD.format(name=out.name, **metrics.summary()) if cifar10 else "",
        pool=model.config.pool,
        data="the 50,000 training images of CIFAR-10 (Krizhevsky 2009)" if cifar10 else "not published",
        data_argument="cifar10" if cifar10 else "VALIDATION.npz",
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
        learning_rate=recipe.learning_rate,
        warmup_epochs=recipe.warmup_epochs,
        weight_decay=recipe.weight_decay,
        label_smoothing=recipe.label_smoothing,
        seed=recipe.seed,
        precision="bfloat16 arithmetic on float32 weights" if recipe.mixed_bfloat16 else "float32 arithmetic",
        keras=keras.__version__,
        backend=keras.backend.backend(),
        command=_command(recipe, arch, out.name, "cifar10" if cifar10 else "DATA.npz"),
        prior="" if metrics.position_prior is None else _PRIOR.format(images=metrics.images),
        files="\n".join(f"| {file} | `{sha256(out / file)}` |" for file in files),
        **metrics.summary(),
    )
    (out / "README.md").write_text(card)
    return metrics


def _command(recipe: Recipe, arch: str, out: str, data: str) -> str:
    """The command that makes this checkpoint again, on any machine."""
    words = ["python -m cct_viz train", f"--arch {Path(arch).name}", f"--data {data}", f"--out {out}"]
    for f in dataclasses.fields(recipe):
        value, option = getattr(recipe, f.name), "--" + f.name.replace("_", "-")
        if value is True:
            words.append(option)
        elif value is not False:
            words.append(f"{option} {value}")
    return " ".join(words)
