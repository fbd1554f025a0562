"""`evaluate`, `score` and `randomisation`: what a model and its maps are worth."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..architecture.config import CCTConfig
from ..architecture.files import check_file, check_folder
from .common import AddCommand, add_strict, load_model, note_not_applicable, print_metrics, skipping

if TYPE_CHECKING:
    from ..inference.classifier import Classifier
    from ..training.data import Images
    from ..training.evaluate import Metrics

DATA = (
    '"cifar10" (its validation images), an .npz with x and y, or a folder with one subfolder for each class '
    "(with train/ and val/, those in val/)"
)


def evaluate(options: argparse.Namespace) -> int:
    from ..inference.gauge import check_count, fit_gauge, write_gauge
    from ..training.data import split
    from ..training.evaluate import evaluate, pool_images

    if options.unknown and not options.gauge:
        raise ValueError("--unknown belongs to a gauge; give --gauge FILE too")
    for path in filter(None, (options.out, options.gauge)):
        check_file(path)
    if options.patches:
        check_folder(options.patches)
    classifier = load_model(options)
    images = _read_labelled(options, classifier.config)
    if options.data == "cifar10":
        _, images = split(images)
    if options.gauge:
        check_count(len(images.x))
    unknown = _pool_unknown(classifier, options) if options.unknown else None
    metrics = evaluate(classifier, images)
    print_metrics(metrics.summary(), as_json=options.json)
    if not options.json:
        _print_bands(metrics)
        _print_confusion(metrics.confusion, classifier.labels)
    if options.out:
        options.out.write_text(json.dumps(metrics.record()) + "\n", encoding="utf-8")
    if options.gauge:
        write_gauge(options.gauge, fit_gauge(pool_images(classifier, images.x), unknown))
    if options.patches:
        _write_patches(classifier, images.x, options.patches)
    return 0


def _write_patches(classifier: Classifier, images: np.ndarray, folder: Path) -> None:
    """The patches of (n, H, W, 3) uint8 images where each channel of the tokenizer is strongest."""
    from ..methods.strongest import add_picture, draw_patches, no_patches, write_patches

    strongest = no_patches(classifier.config)
    for number, trace in enumerate(classifier.traces(images)):
        strongest = add_picture(strongest, trace, number)
    sheets = draw_patches(classifier.config, strongest, enumerate(images))
    folder.mkdir(parents=True, exist_ok=True)
    write_patches(folder, sheets)


def _pool_unknown(classifier: Classifier, options: argparse.Namespace) -> np.ndarray:
    """(m, D): the pooled vectors of pictures of none of the classes."""
    from ..training.data import load_images
    from ..training.evaluate import pool_images

    size, preprocessing = classifier.config.image_size, classifier.config.preprocessing
    with skipping(options) as skip:
        others = load_images(options.unknown, image_size=size, preprocessing=preprocessing, skip=skip)
    return pool_images(classifier, others.x)


def score(options: argparse.Namespace) -> int:
    from ..evaluation.faithfulness import RANKINGS
    from ..evaluation.score import write_scores

    methods = RANKINGS if options.methods == "all" else _split_names(options.methods)
    check_folder(options.out)
    classifier = load_model(options)
    x = _read_images(options, classifier.config)
    named = "all" if options.methods == "all" else ",".join(methods)
    words = [f"python -m cct_viz score --model {options.model} --data {Path(options.data).name}"]
    words += [f"--methods {named} --images {options.images} --seed {options.seed}"]
    words += [f"--points {options.points}"] * (options.points is not None)
    words += [f"--permutations {options.permutations}"]
    words += [f"--objects {options.objects.name}"] if options.objects else []
    record = write_scores(
        classifier,
        x,
        options.out,
        methods=methods,
        points=options.points,
        permutations=options.permutations,
        seed=options.seed,
        objects=options.objects,
        command=" ".join(words),
        progress=lambda done, count: print(f"\r{done} of {count} images", end="", file=sys.stderr, flush=True),
    )
    print(file=sys.stderr)
    note_not_applicable(record["not_applicable"])
    print(json.dumps(record) if options.json else (options.out / "score.md").read_text(encoding="utf-8"))
    return 0


def randomisation(options: argparse.Namespace) -> int:
    from ..evaluation.randomisation import format_randomisation, randomise_parameters
    from ..methods import METHODS

    methods = tuple(METHODS) if options.methods == "all" else _split_names(options.methods)
    classifier = load_model(options)
    x = _read_images(options, classifier.config)
    table = randomise_parameters(classifier, x, methods=methods, seed=options.seed)
    print(json.dumps(table) if options.json else format_randomisation(table))
    return 0


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name for name in map(str.strip, text.split(",")) if name)


def _read_images(options: argparse.Namespace, config: CCTConfig) -> np.ndarray:
    """(n, H, W, 3) uint8: the first --images of --data."""
    from ..training.data import split

    if options.images < 1:
        raise ValueError(f"--images is {options.images}; expected 1 or more")
    images = _read_labelled(options, config)
    if options.data == "cifar10":
        _, images = split(images)
    return images.x[: options.images]


def _read_labelled(options: argparse.Namespace, config: CCTConfig) -> Images:
    """The images of --data, of which only `val` if it has `train` and `val`; picture files are cropped and scaled for
    this model."""
    from ..training.data import find_parts, load_images

    parts = find_parts(options.data)
    source = str(parts[1]) if parts else options.data
    with skipping(options) as skip:
        return load_images(source, image_size=config.image_size, preprocessing=config.preprocessing, skip=skip)


def _print_bands(metrics: Metrics) -> None:
    """What probabilities are worth, and whether they are too high or too low."""
    print(f"mean probability of the answers {metrics.confidence:.2%}, right {metrics.accuracy:.2%}")
    for band in metrics.bands:
        print(f"  {band.low:.0%} to {band.high:.0%}: {band.right} of {band.images} right")


def _print_confusion(confusion: np.ndarray, labels: Sequence[str]) -> None:
    """The matrix of classes that compete, or the counts of each independent class."""
    if confusion.ndim == 2:
        print("confusion matrix (rows are the true classes):")
        for row in confusion:
            print("  " + " ".join(f"{count:5d}" for count in row))
        return
    print("right no, wrong yes, wrong no and right yes of each class:")
    for label, counts in zip(labels, confusion, strict=True):
        print("  " + " ".join(f"{count:5d}" for count in counts.ravel()) + f"  {label}")


def add(command: AddCommand) -> None:
    """Add the commands to the parser."""
    sub = command(evaluate, "Measure accuracy, loss, calibration error and the confusion matrix.", loads=True)
    sub.add_argument(
        "--data",
        required=True,
        help=DATA,
    )
    add_strict(sub)
    sub.add_argument(
        "--out", type=Path, metavar="FILE", help="write the metrics, confusion matrix and mean pooling weights as JSON"
    )

    text = "write how usual pictures are for the model as gauge.safetensors, to be kept beside the weights"
    sub.add_argument("--gauge", type=Path, metavar="FILE", help=text)
    text = "with --gauge: pictures of none of the classes, as --data; the gauge then says how well it tells them apart"
    sub.add_argument("--unknown", metavar="DATA", help=text)
    text = "write strongest_patches_1.jpg and so on to this folder, to be kept beside the weights"
    sub.add_argument("--patches", type=Path, metavar="FOLDER", help=text)

    text = "Run the parameter randomisation test: randomise one part of the weights at a time and compare every map."
    sub = command(randomisation, text, loads=True, aliases=["dependence"])  # its earlier name, for one release
    sub.add_argument(
        "--data",
        required=True,
        help=DATA,
    )
    add_strict(sub)
    sub.add_argument("--methods", default="all", help='"all", or names separated by commas (default: %(default)s)')
    sub.add_argument("--images", type=int, default=3, metavar="N", help="use the first N images (default: %(default)s)")
    sub.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")

    sub = command(score, "Measure how faithful each map is: deletion, insertion and SRG over many images.", loads=True)
    sub.add_argument(
        "--data",
        required=True,
        help=DATA,
    )
    add_strict(sub)
    sub.add_argument("--methods", default="all", help='"all", or names separated by commas (default: %(default)s)')
    sub.add_argument(
        "--images", type=int, default=1000, metavar="N", help="use the first N images (default: %(default)s)"
    )
    sub.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for score.json, score.md and the rows"
    )
    sub.add_argument("--points", type=int, help="steps of each curve (default: one for each token)")
    sub.add_argument(
        "--permutations",
        type=int,
        default=20,
        help="random orders for each image, an even number (default: %(default)s)",
    )
    sub.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    sub.add_argument(
        "--objects",
        type=Path,
        metavar="DIR",
        help="also measure how well each map points at the object, on the photos in DIR: NAME.jpg with NAME.mask.png, "
        "or boxes.csv (image, x0, y0, x1, y1)",
    )
