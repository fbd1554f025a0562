"""The command line: `python -m cct_viz COMMAND`. Answers go to stdout (JSON with --json), messages to stderr."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .checkpoints import CheckpointError, expected_shapes
from .hub import HubError, print_progress
from .presets import DEFAULT, PRESETS, configure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 is success, 1 an error said on stderr, 2 wrong usage."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, CheckpointError, HubError, OSError) as error:
        print(f"cct_viz: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cct_viz: stopped", file=sys.stderr)
        return 130


def classify(options: argparse.Namespace) -> int:
    classifier, failed = _load(options), False
    answers = []
    for image in options.images:
        try:
            top = classifier.trace(image).top(options.top)
        except ValueError as error:  # one bad file does not keep the others from their answer
            print(f"cct_viz: {error}", file=sys.stderr)
            failed = True
            continue
        answers.append({"image": image, "top": [{"label": label, "probability": p} for label, p in top]})
        if not options.json:
            print(f"{image}: " + ", ".join(f"{label} {p:.1%}" for label, p in top))
    if options.json:
        print(json.dumps(answers))
    return int(failed)


def explain(options: argparse.Namespace) -> int:
    from .bundle import write_bundle

    classifier = _load(options)
    target = int(options.target) if options.target and options.target.isdigit() else options.target
    methods = {"methods": options.method} if options.method else {}
    record = write_bundle(classifier, classifier.trace(options.image), options.out, target=target, **methods)
    if options.json:
        print(json.dumps(record))
    else:
        best = record["top"][0]
        print(
            f"{options.image}: {best['label']} {best['probability']:.1%}; explained {record['target']} in {options.out}"
        )
    return 0


def models(options: argparse.Namespace) -> int:
    rows = []
    for name, preset in PRESETS.items():
        config = preset.config
        rows.append(
            {
                "name": name,
                "parameters": _count_parameters(config),
                "image_size": list(config.image_size),
                "tokens": config.num_tokens,
                "classes": config.num_classes,
                "bundled": preset.folder is not None,
                "description": preset.description,
            }
        )
    if options.json:
        print(json.dumps(rows))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size = "x".join(map(str, row["image_size"]))
        weights = "weights bundled" if row["bundled"] else "architecture"
        print(
            f"{row['name']:{width}}  {row['parameters']:>12,} parameters  {size:>7} pixels  {row['tokens']:>4} tokens  "
            f"{row['classes']:>5} classes  {weights:15}  {row['description']}"
        )
    return 0


def train(options: argparse.Namespace) -> int:
    from .training.data import load_images, split
    from .training.finish import finish
    from .training.train import Recipe, train

    recipe = Recipe(**{f.name: getattr(options, f.name) for f in dataclasses.fields(Recipe)})
    training, validation = split(load_images(options.data))
    classes = int(max(training.y.max(), validation.y.max())) + 1
    config = configure(options.arch, num_classes=classes, image_size=training.x.shape[1:3])
    with contextlib.redirect_stdout(sys.stderr):  # Keras prints its progress; stdout is for the answer
        model = train(config, training, validation, recipe, options.out)
        metrics = finish(model, recipe, options.out, arch=options.arch, training=training, validation=validation)
    _print_metrics(metrics.summary(), as_json=options.json)
    return 0


def evaluate(options: argparse.Namespace) -> int:
    from .training.data import load_images, split
    from .training.evaluate import evaluate

    images = load_images(options.data)
    if options.data == "cifar10":
        _, images = split(images)
    metrics = evaluate(_load(options), images)
    if options.out:
        record = {**metrics.summary(), "confusion": metrics.confusion.tolist()}
        options.out.write_text(json.dumps(record) + "\n", encoding="utf-8")
    _print_metrics(metrics.summary(), as_json=options.json)
    if not options.json:
        print("confusion (rows are the true classes):")
        for row in metrics.confusion:
            print("  " + " ".join(f"{count:5d}" for count in row))
    return 0


def _print_metrics(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
    else:
        print(
            f"accuracy {summary['accuracy']:.2%}, top-5 {summary['top5']:.2%}, loss {summary['loss']:.4f}, "
            f"calibration error {summary['ece']:.4f} on {summary['images']:,} images"
        )


def _load(options: argparse.Namespace) -> Any:
    from .classifier import load

    return load(options.model, revision=options.revision, offline=options.offline, progress=print_progress)


def _count_parameters(config: Any) -> int:
    total = 0
    for shape in expected_shapes(config).values():
        size = 1
        for length in shape:
            size *= length
        total += size
    return total


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cct_viz", description="See how a compact transformer sees.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Any, text: str, *, loads: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(run.__name__, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="answer as JSON on stdout")
        if loads:
            sub.add_argument(
                "--model", default=DEFAULT, metavar="SOURCE", help="preset, folder or Hub repo (%(default)s)"
            )
            sub.add_argument("--revision", help="branch, tag or commit of a Hub repo")
            sub.add_argument("--offline", action="store_true", help="use only what is bundled, local or cached")
        return sub

    sub = command(classify, "Name the most probable classes of images.", loads=True)
    sub.add_argument("images", nargs="+", metavar="IMG")
    sub.add_argument("--top", type=int, default=5, help="how many classes (%(default)s)")

    sub = command(explain, "Write pictures, numbers and the whole trace of one image to a folder.", loads=True)
    sub.add_argument("image", metavar="IMG")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--method", action="append", help="a method's name; may be repeated (all)")
    sub.add_argument("--target", help="class to explain, by name or index (the model's choice)")

    command(models, "List the models known by name.")

    sub = command(train, "Train a model, or go on where an interrupted training stopped.")
    sub.add_argument("--arch", required=True, metavar="NAME", help="a preset's name or a config.json")
    sub.add_argument("--data", required=True, help='"cifar10" or an .npz with x (n, H, W, 3) uint8 and y (n,)')
    sub.add_argument("--out", type=Path, required=True, metavar="DIR")
    sub.add_argument("--epochs", type=int, default=30)
    sub.add_argument("--batch-size", type=int, default=128)
    sub.add_argument("--learning-rate", type=float, default=1e-3)
    sub.add_argument("--warmup-epochs", type=float, default=1.0)
    sub.add_argument("--weight-decay", type=float, default=1e-4)
    sub.add_argument("--label-smoothing", type=float, default=0.1)
    sub.add_argument("--mixed-bfloat16", action="store_true", help="compute in bfloat16, keep float32 weights")
    sub.add_argument("--seed", type=int, default=0)

    sub = command(evaluate, "Measure accuracy, top-5, loss, calibration error and confusion.", loads=True)
    sub.add_argument("--data", required=True, help='"cifar10" (its validation images) or an .npz with x and y')
    sub.add_argument("--out", type=Path, metavar="FILE", help="save the figures and the confusion matrix as JSON")
    return parser
