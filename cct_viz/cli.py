"""The command line: `python -m cct_viz COMMAND`. Answers go to stdout (JSON with --json), messages to stderr."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .app.serve import add_arguments, serve
from .architecture.activations import ACTIVATIONS
from .architecture.config import CCTConfig, ConfigError
from .architecture.cost import count_macs, count_parameters
from .architecture.geometry import stage_geometry
from .architecture.pools import POOLS
from .architecture.presets import DEFAULT, PRESETS, configure
from .checkpoints.given import Given
from .checkpoints.hub import HubError, print_progress
from .checkpoints.hub import push as hub_push
from .checkpoints.pytorch.state_dict import CheckpointWarning
from .images.decode import ImageWarning
from .training.recipes import DEFAULT_RECIPE, DEFAULT_RECIPE_OF_TRAINED, OPTIONS, RECIPES, Recipe

if TYPE_CHECKING:
    from .inference.classifier import Classifier
    from .inference.trace import Trace
    from .training.data import Images
    from .training.finish import DataSource
    from .training.start import Start


STRETCH = "use the whole range of a 16-bit grey image that uses its lower bits only, as 12-bit data does"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 for success, 1 for an error (printed on stderr), 2 for wrong usage."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(arguments)
    if options.command == "dependence":
        print("cct_viz: the command 'dependence' is now called 'randomisation'", file=sys.stderr)
    try:
        return options.run(options)
    except (ValueError, HubError) as error:
        print(f"cct_viz: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{error.filename} cannot be used: " if error.filename else ""
        print(f"cct_viz: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cct_viz: stopped", file=sys.stderr)
        return 130


def app(options: argparse.Namespace) -> int:
    serve(options)
    return 0


def classify(options: argparse.Namespace) -> int:
    classifier, failed = _load(options), False
    _print_assumptions(classifier.config)
    answers = []
    for image in options.images:
        try:
            trace = _trace(classifier, image, options)
            top = trace.top(options.top)
        except ValueError as error:  # a bad file must not stop the others
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
    from .reports.bundle import write_bundle

    classifier = _load(options)
    methods = {"methods": options.method} if options.method else {}
    chosen = dict(_read_option(text) for text in options.option)
    _print_assumptions(classifier.config)
    trace = _trace(classifier, options.image, options)
    record = write_bundle(classifier, trace, options.out, target=options.target, options=chosen, **methods)
    if options.page:
        from .web.site import write_page

        write_page(classifier, Path(options.image), options.out / "explorer.html")
    _note_not_applicable(name for name, entry in record["explanations"].items() if "not_applicable" in entry)
    if options.json:
        print(json.dumps(record))
    else:
        best = record["top"][0]
        print(f"{options.image}: {best['label']} {best['probability']:.1%}")
        print(f"The explanation of class {record['target']} is in {options.out}")
    return 0


def _read_option(text: str) -> tuple[str, Any]:
    """NAME=VALUE -> name and value; a value that is not JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--option {text!r} has no '='; write NAME=VALUE, for example alpha=0.3")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def models(options: argparse.Namespace) -> int:
    rows: list[dict[str, Any]] = []
    for name, preset in PRESETS.items():
        config, tokens = preset.config, stage_geometry(preset.config)[-1]
        rows.append(
            {
                "name": name,
                "parameters": count_parameters(config),
                "macs": count_macs(config),
                "image_size": list(config.image_size),
                "tokens": config.num_tokens,
                "receptive_field": {"size": tokens.window_size[0], "stride": tokens.stride[0]},
                "position": config.position,
                "classes": config.num_classes,
                "bundled": preset.folder is not None,
                "published": preset.published,
                "description": preset.description,
            }
        )
    if options.json:
        print(json.dumps(rows))
        return 0
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        size, window = "x".join(map(str, row["image_size"])), row["receptive_field"]
        weights = ", weights bundled" if row["bundled"] else ", weights published" if row["published"] else ""
        print(
            f"{row['name']:{width}}  {row['parameters']:>10,} parameters  {row['macs'] / 1e6:>8,.1f} M MACs  "
            f"{size:>7} pixels  {row['tokens']:>3} tokens  "
            f"receptive field {window['size']:>2} stride {window['stride']:>2}  "
            f"{row['position']:10}  {row['classes']:>4} classes  {row['description']}{weights}"
        )
    return 0


def convert(options: argparse.Namespace) -> int:
    from .checkpoints import READERS
    from .checkpoints.convert import convert

    given = _read_given(options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CheckpointWarning)
        checkpoint = convert(options.source, options.out, given)
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, CheckpointWarning)]
    notes += checkpoint.config.assumptions
    for note in notes:
        print(f"cct_viz: note: {note}", file=sys.stderr)
    if checkpoint.config.assumptions:
        accepts = READERS[checkpoint.format].accepts
        ways = [f"--{name.replace('_', '-')}" for name in _CORRECTIONS if name in accepts]
        print(f"cct_viz: if an assumption is wrong, correct it with {', '.join(ways)}", file=sys.stderr)
    parameters = count_parameters(checkpoint.config)
    if options.json:
        answer = {"out": str(options.out), "format": checkpoint.format, "parameters": parameters, "notes": notes}
        print(json.dumps(answer))
    else:
        print(f"{options.out}: {parameters:,} parameters, {checkpoint.config.num_classes} classes")
    return 0


# Options that answer what a file may not say, and what else is assumed.
_CORRECTIONS = ("heads", "stride", "image_size", "activation", "epsilon", "labels", "scale", "mean", "std")


def _read_given(options: argparse.Namespace) -> Given:
    """What the user says about the file to convert."""
    size = options.image_size or []
    if len(size) > 2:
        raise ConfigError(f"--image-size has {len(size)} numbers; expected a side, or height and width")
    return Given(
        arch=options.arch,
        new_head=options.new_head,
        image_size=(size[0], size[-1]) if size else None,
        heads=options.heads,
        stride=options.stride,
        activation=options.activation,
        epsilon=options.epsilon,
        ema=options.ema,
        labels=_read_labels(options.labels) if options.labels else None,
        scale=options.scale,
        mean=tuple(options.mean) if options.mean else None,
        std=tuple(options.std) if options.std else None,
    )


def _read_labels(path: Path) -> tuple[str, ...]:
    """The names of the classes in a text file, one a line; blank lines at the end do not count."""
    try:
        return tuple(path.read_text(encoding="utf-8").rstrip().splitlines())
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path.name} is no text in UTF-8; write the names of the classes into it, one a line"
        ) from error


def push(options: argparse.Namespace) -> int:
    sent = hub_push(options.folder, options.repo_id, yes=options.yes, private=options.private)
    if options.json:
        print(json.dumps({"repo_id": sent.repo_id, "files": dict(sent.files), "url": sent.url}))
        return 0
    for name, size in sent.files.items():
        print(f"{size:>12,} bytes  {name}")
    print(sent.url or f"Nothing was sent. Add --yes to publish these files as {sent.repo_id}.")
    return 0


def train(options: argparse.Namespace) -> int:
    from .training.data import DataError
    from .training.finish import finish
    from .training.train import train

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
    _print_metrics(metrics.summary(), as_json=options.json)
    return 0


def _describe_source(options: argparse.Namespace) -> DataSource:
    """What the card says about --data and --validation, whose folders have other names elsewhere."""
    from .training.data import find_parts
    from .training.finish import UNPUBLISHED, DataSource

    in_one_folder = not options.validation and find_parts(options.data)
    return DataSource(
        options.data_note or UNPUBLISHED.description,
        "--data DATA --validation VALIDATION" if options.validation else "--data DATA",
        "DATA" if in_one_folder else "VALIDATION",
        separate=bool(options.validation or in_one_folder),
        start_description=options.from_note,
    )


Parts = tuple["Images", "Images"]  # training, validation
Begun = tuple[Parts, CCTConfig, "Start | None", list[str]]  # and the options that repeat this choice


def _begin_trained(options: argparse.Namespace, recipe: Recipe) -> Begun:
    from .inference.load import load
    from .training.data import DataError
    from .training.start import start_from

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
    from .training.start import untrained_config

    parts = _read_parts(options, configure(options.arch), recipe)
    choices = ["--arch", Path(options.arch).name, *(["--pool", options.pool] if options.pool else [])]
    return parts, untrained_config(options.arch, *parts, pool=options.pool), None, choices


def _read_parts(options: argparse.Namespace, config: CCTConfig, recipe: Recipe) -> Parts:
    """Training and validation images; picture files are cropped and scaled for this model."""
    from .training.data import load_parts
    from .training.recipes import CROP_MARGIN

    return load_parts(
        options.data,
        options.validation,
        image_size=config.image_size,
        preprocessing=config.preprocessing,
        margin=CROP_MARGIN if recipe.smallest_crop else 1.0,
    )


def _read_labelled(options: argparse.Namespace, config: CCTConfig) -> Images:
    """The images of --data, of which only `val` if it has `train` and `val`; picture files are cropped and scaled for
    this model."""
    from .training.data import find_parts, load_images

    parts = find_parts(options.data)
    return load_images(
        str(parts[1]) if parts else options.data, image_size=config.image_size, preprocessing=config.preprocessing
    )


def evaluate(options: argparse.Namespace) -> int:
    from .training.data import split
    from .training.evaluate import evaluate

    classifier = _load(options)
    images = _read_labelled(options, classifier.config)
    if options.data == "cifar10":
        _, images = split(images)
    metrics = evaluate(classifier, images)
    if options.out:
        options.out.write_text(json.dumps(metrics.record()) + "\n", encoding="utf-8")
    _print_metrics(metrics.summary(), as_json=options.json)
    if not options.json:
        _print_confusion(metrics.confusion, classifier.labels)
    return 0


def score(options: argparse.Namespace) -> int:
    from .evaluation.faithfulness import RANKINGS
    from .evaluation.score import write_scores

    methods = RANKINGS if options.methods == "all" else _split_names(options.methods)
    classifier = _load(options)
    x = _read_images(options, classifier.config)
    named = "all" if options.methods == "all" else ",".join(methods)
    words = [f"python -m cct_viz score --model {options.model} --data {Path(options.data).name}"]
    words += [f"--methods {named} --images {options.images} --seed {options.seed}"]
    words += [f"--points {options.points}"] * (options.points is not None)
    words += [f"--permutations {options.permutations}"]
    record = write_scores(
        classifier,
        x,
        options.out,
        methods=methods,
        points=options.points,
        permutations=options.permutations,
        seed=options.seed,
        command=" ".join(words),
        progress=lambda done, count: print(f"\r{done} of {count} images", end="", file=sys.stderr, flush=True),
    )
    print(file=sys.stderr)
    _note_not_applicable(record["not_applicable"])
    print(json.dumps(record) if options.json else (options.out / "score.md").read_text(encoding="utf-8"))
    return 0


def site(options: argparse.Namespace) -> int:
    from .inference.load import load
    from .web.site import write_site

    others = [name for name, preset in PRESETS.items() if preset.folder and not preset.comparison]
    models = [_load(options), *(load(name) for name in others if name != options.model)]
    path = write_site(models, options.out, options.images, space=options.space)
    print(json.dumps({"page": str(path), "bytes": path.stat().st_size}) if options.json else path)
    return 0


def randomisation(options: argparse.Namespace) -> int:
    from .evaluation.randomisation import format_randomisation, randomise_parameters
    from .methods import METHODS

    methods = tuple(METHODS) if options.methods == "all" else _split_names(options.methods)
    classifier = _load(options)
    x = _read_images(options, classifier.config)
    table = randomise_parameters(classifier, x, methods=methods, seed=options.seed)
    print(json.dumps(table) if options.json else format_randomisation(table))
    return 0


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name for name in map(str.strip, text.split(",")) if name)


def _read_images(options: argparse.Namespace, config: CCTConfig) -> np.ndarray:
    """(n, H, W, 3) uint8: the first --images of --data."""
    from .training.data import split

    if options.images < 1:
        raise ValueError(f"--images is {options.images}; expected 1 or more")
    images = _read_labelled(options, config)
    if options.data == "cifar10":
        _, images = split(images)
    return images.x[: options.images]


def _trace(classifier: Classifier, image: str, options: argparse.Namespace) -> Trace:
    """The trace of an image file; what is unusual about the image goes to stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageWarning)  # the trace's note says the same
        trace = classifier.trace(image, stretch=options.stretch)
    if trace.note:
        print(f"cct_viz: note: {trace.note}", file=sys.stderr)
    return trace


def _print_assumptions(config: CCTConfig) -> None:
    """What the file of the weights did not say, once for each command."""
    for text in config.assumptions:
        print(f"cct_viz: note: {text}", file=sys.stderr)


def _note_not_applicable(methods: Iterable[str]) -> None:
    if methods := list(methods):
        print(f"cct_viz: note: not applicable to this model: {', '.join(methods)}", file=sys.stderr)


def _print_metrics(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary))
    else:
        right = "right answers (yes from 50 %)"
        if "top5" in summary:
            right, top5 = "top-1 accuracy", f", top-5 {summary['top5']:.2%}"
        else:
            top5 = ""
        print(
            f"{right} {summary['accuracy']:.2%}{top5}, loss {summary['loss']:.4f}, "
            f"calibration error {summary['ece']:.4f} on {summary['images']:,} images"
        )


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


def _load(options: argparse.Namespace) -> Any:
    from .inference.load import load

    return load(options.model, revision=options.revision, offline=options.offline, progress=print_progress)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cct-viz", description="See how a compact transformer sees.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")

    def command(run: Any, text: str, *, loads: bool = False, aliases: Sequence[str] = ()) -> argparse.ArgumentParser:
        sub = commands.add_parser(run.__name__, aliases=aliases, help=text, description=text)
        sub.set_defaults(run=run)
        sub.add_argument("--json", action="store_true", help="print the answer as JSON")
        if loads:
            sub.add_argument(
                "--model", default=DEFAULT, metavar="SOURCE", help="preset, folder or Hub repo (default: %(default)s)"
            )
            sub.add_argument("--revision", help="branch, tag or commit of a Hub repo")
            sub.add_argument(
                "--offline", action="store_true", help="do not use the Hub; load only bundled, local or cached models"
            )
        return sub

    text = "Serve the explorer's page on this machine."
    sub = commands.add_parser("app", help=text, description=text)
    sub.set_defaults(run=app)
    add_arguments(sub)

    sub = command(classify, "Name the most probable classes of images.", loads=True)
    sub.add_argument("images", nargs="+", metavar="IMG")
    sub.add_argument("--stretch", action="store_true", help=STRETCH)
    sub.add_argument("--top", type=int, default=5, help="number of classes to print (default: %(default)s)")

    text = "Write a static site with the models inside. It explains any photo and needs no server."
    sub = command(site, text, loads=True)
    sub.add_argument(
        "images",
        nargs="*",
        type=Path,
        metavar="IMG",
        help="pictures to start with (default: three photos and ten pictures of CIFAR-10)",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    sub.add_argument("--space", action="store_true", help="also write the README.md of a static Space")

    sub = command(explain, "Write pictures, numbers and the whole trace of one image to a folder.", loads=True)
    sub.add_argument("image", metavar="IMG")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    sub.add_argument("--method", action="append", help="name of a method; may be repeated (default: all)")
    sub.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option of every method that has it; may be repeated",
    )
    sub.add_argument("--stretch", action="store_true", help=STRETCH)
    sub.add_argument("--target", help="class to explain, name or index (default: the top-1 class)")
    sub.add_argument("--page", action="store_true", help="also write explorer.html, with the model inside")

    command(models, "List the presets, with their cost and the receptive fields of their tokens.")

    sub = command(convert, "Convert a file or folder in any supported format to this project's, or to a file.")
    sub.add_argument("source", type=Path, metavar="SOURCE", help="a file or folder; its content says its format")
    text = "a new folder, or a file name that ends in .keras, .pth (for the paper's code) or .onnx"
    sub.add_argument("--out", type=Path, required=True, metavar="OUT", help=text)
    text = "for PyTorch: a preset or a config.json to use instead of what the file's shapes show"
    sub.add_argument("--arch", metavar="NAME", help=text)
    text = "for PyTorch: replace the head by an untrained head with N classes"
    sub.add_argument("--new-head", nargs="?", const=True, type=int, metavar="N", help=text)
    text = "side, or height and width, of the images; for another size the positional embedding is resized"
    sub.add_argument("--image-size", type=int, nargs="+", metavar="PIXELS", help=text)
    sub.add_argument("--heads", type=int, metavar="N", help="for PyTorch: number of attention heads")
    text = "for Keras: the form of GELU, exact (gelu) or with tanh (gelu_tanh)"
    sub.add_argument("--activation", choices=tuple(ACTIVATIONS), help=text)
    sub.add_argument("--epsilon", type=float, metavar="X", help="for Keras: epsilon of LayerNormalization")
    sub.add_argument("--stride", type=int, metavar="N", help="for PyTorch: stride of the tokenizer's convolutions")
    text = "for PyTorch: read the averaged weights, if the file holds both"
    sub.add_argument("--ema", action="store_true", help=text)
    sub.add_argument(
        "--labels", type=Path, metavar="FILE", help="a text file with the names of the classes, one a line"
    )
    sub.add_argument(
        "--scale", type=float, metavar="N", help="what pixels 0..255 were divided by: 255 for 0..1, 1 for unscaled"
    )
    for name in ("mean", "std"):
        text = f"{name} of pixels in 0..1 that the model was trained with: one number for each colour"
        sub.add_argument(f"--{name}", type=float, nargs="+", metavar="X", help=text)

    sub = command(push, "Upload a folder of this project to the Hugging Face Hub. Without --yes, only list the files.")
    sub.add_argument("folder", type=Path, metavar="DIR")
    sub.add_argument("repo_id", metavar="OWNER/NAME")
    sub.add_argument("--yes", action="store_true", help="upload, with your own login (hf auth login)")
    sub.add_argument("--private", action="store_true", help="make a new repository private")

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

    sub = command(evaluate, "Measure accuracy, loss, calibration error and the confusion matrix.", loads=True)
    sub.add_argument(
        "--data",
        required=True,
        help='"cifar10" (its validation images), an .npz with x and y, or a folder with one subfolder for each class '
        "(with train/ and val/, those in val/)",
    )
    sub.add_argument(
        "--out", type=Path, metavar="FILE", help="write the metrics, confusion matrix and mean pooling weights as JSON"
    )

    text = "Run the parameter randomisation test: randomise one part of the weights at a time and compare every map."
    sub = command(randomisation, text, loads=True, aliases=["dependence"])  # its earlier name, for one release
    sub.add_argument(
        "--data",
        required=True,
        help='"cifar10" (its validation images), an .npz with x and y, or a folder with one subfolder for each class '
        "(with train/ and val/, those in val/)",
    )
    sub.add_argument("--methods", default="all", help='"all", or names separated by commas (default: %(default)s)')
    sub.add_argument("--images", type=int, default=3, metavar="N", help="use the first N images (default: %(default)s)")
    sub.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")

    sub = command(score, "Measure how faithful each map is: deletion, insertion and SRG over many images.", loads=True)
    sub.add_argument(
        "--data",
        required=True,
        help='"cifar10" (its validation images), an .npz with x and y, or a folder with one subfolder for each class '
        "(with train/ and val/, those in val/)",
    )
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
    return parser
