"""`train`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..architecture.config import CCTConfig, ConfigError
from ..architecture.pools import POOLS
from ..architecture.presets import configure
from ..checkpoints.hub import print_progress
from ..training.recipes import DEFAULT_RECIPE, DEFAULT_RECIPE_OF_TRAINED, OPTIONS, RECIPES, Recipe
from .common import AddCommand, add_strict, print_metrics, skipping

if TYPE_CHECKING:
    from ..training.data import Images
    from ..training.finish import DataSource
    from ..training.start import Start

Parts = tuple["Images", "Images"]  # training, validation
Begun = tuple[Parts, CCTConfig, "Start | None", list[str]]  # and the options that repeat this choice


def train(options: argparse.Namespace) -> int:
    from ..training.data import DataError
    from ..training.finish import finish
    from ..training.train import train

    for option in ("data", "validation"):
        data = Path(getattr(options, option) or "cifar10")
        if data.is_dir() and options.out.resolve().is_relative_to(data.resolve()):
            raise DataError(
                f"{options.out} is in the folder of --{option}, where it would be read as a class; choose another --out"
            )
    given = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    recipe_name = options.recipe or (DEFAULT_RECIPE if options.start is None else DEFAULT_RECIPE_OF_TRAINED)
    recipe = dataclasses.replace(RECIPES[recipe_name], **given)
    begin = _begin_untrained if options.start is None else _begin_trained
    (training, validation), config, start, choices = begin(options, recipe)
    choices += ["--recipe", recipe_name, *(["--on-device"] if options.on_device else [])]
    with contextlib.redirect_stdout(sys.stderr):  # progress; stdout is for the answer
        model = train(config, training, validation, recipe, options.out, start=start, on_device=options.on_device)
        metrics = finish(
            model,
            recipe,
            options.out,
            choices=choices,
            training=training,
            validation=validation,
            start=start,
            source=_describe_source(options),
            float16=options.float16,
        )
    print_metrics(metrics.summary(), as_json=options.json)
    return 0


def _describe_source(options: argparse.Namespace) -> DataSource:
    """What the card says about --data and --validation, whose folders have other names elsewhere."""
    from ..training.data import find_parts
    from ..training.finish import UNPUBLISHED, DataSource

    in_one_folder = not options.validation and find_parts(options.data)
    return DataSource(
        options.data_note or UNPUBLISHED.description,
        "--data DATA --validation VALIDATION" if options.validation else "--data DATA",
        "DATA" if in_one_folder else "VALIDATION",
        separate=bool(options.validation or in_one_folder),
        start_description=options.from_note,
    )


def _begin_trained(options: argparse.Namespace, recipe: Recipe) -> Begun:
    from ..inference.load import load
    from ..training.data import DataError
    from ..training.start import start_from

    if options.pool:
        raise ConfigError("--pool needs --arch: a trained model keeps its pooling; leave --pool out")
    classifier = load(options.start, progress=print_progress)
    if classifier.folder and options.out.resolve() == classifier.folder.resolve():
        raise DataError(f"{options.out} is also the folder of --from; choose another --out")
    parts = _read_parts(options, classifier.config, recipe)
    start = start_from(classifier, *parts)
    head = "its own head" if "head/kernel" in start.weights else "a new head"
    print(f"Continuing from {start.name} with {head} for {start.config.num_classes} classes", file=sys.stderr)
    return parts, start.config, start, ["--from", start.name]


def _begin_untrained(options: argparse.Namespace, recipe: Recipe) -> Begun:
    from ..training.start import untrained_config

    parts = _read_parts(options, configure(options.arch), recipe)
    choices = ["--arch", Path(options.arch).name, *(["--pool", options.pool] if options.pool else [])]
    return parts, untrained_config(options.arch, *parts, pool=options.pool), None, choices


def _read_parts(options: argparse.Namespace, config: CCTConfig, recipe: Recipe) -> Parts:
    """Training and validation images; picture files are cropped and scaled for this model."""
    from ..training.data import load_parts
    from ..training.recipes import CROP_MARGIN

    with skipping(options) as skip:
        return load_parts(
            options.data,
            options.validation,
            image_size=config.image_size,
            preprocessing=config.preprocessing,
            margin=CROP_MARGIN if recipe.smallest_crop else 1.0,
            skip=skip,
        )


def add(command: AddCommand) -> None:
    """Add the command to the parser."""
    sub = command(train, "Train a model, or continue an interrupted training.")
    begun = sub.add_mutually_exclusive_group(required=True)
    begun.add_argument("--arch", metavar="NAME", help="start from random weights: a preset or a config.json")
    begun.add_argument(
        "--from", dest="start", metavar="SOURCE", help="start from a trained model: bundled, folder or Hub repo"
    )
    sub.add_argument(
        "--data",
        required=True,
        help='"cifar10", an .npz with x (n, H, W, 3) uint8 and y (n,), or a folder with one subfolder for each class '
        "or with train/ and val/, each with such subfolders",
    )
    sub.add_argument(
        "--validation",
        metavar="DATA",
        help="validation images, given like --data (default: val/ in --data if it exists, else a tenth of --data)",
    )
    sub.add_argument(
        "--float16",
        action="store_true",
        help="store the weights as float16, in half the space, if top-1 accuracy falls by less than 0.1 points",
    )
    sub.add_argument(
        "--data-note", metavar="TEXT", help="for the card: which images these are, and under which terms; no full stop"
    )
    sub.add_argument(
        "--from-note",
        metavar="TEXT",
        help="for the card: how the weights of --from were made, if their card does not say",
    )
    add_strict(sub)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    pools = ", ".join(f"{name} ({pool.name})" for name, pool in POOLS.items())
    sub.add_argument("--pool", choices=tuple(POOLS), help=f"how to pool the tokens: {pools}; default: as in --arch")
    sub.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help=f"how to train (default: {DEFAULT_RECIPE}, with --from {DEFAULT_RECIPE_OF_TRAINED}); the options below "
        "replace single values of the recipe",
    )
    sub.add_argument("--epochs", type=int, help="number of epochs")
    sub.add_argument("--batch-size", type=int, help="images in a batch")
    sub.add_argument("--learning-rate", type=float, help="learning rate after the warm-up")
    sub.add_argument("--warmup-epochs", type=float, help="epochs in which the learning rate rises from 0")
    sub.add_argument("--weight-decay", type=float, help="weight decay of AdamW, on matrices only")
    sub.add_argument("--label-smoothing", type=float, help="share of label smoothing, 0 to 1")
    sub.add_argument(
        "--mixed-bfloat16", action="store_true", default=None, help="compute in bfloat16 instead of float32"
    )
    sub.add_argument("--seed", type=int, help="random seed")
    sub.add_argument(
        "--on-device",
        action="store_true",
        help="keep images and augmentation on one accelerator too; needs JAX (KERAS_BACKEND=jax)",
    )
