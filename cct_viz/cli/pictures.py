"""`classify` and `explain`: what a model says about pictures, and why."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..architecture.files import check_folder, sha256
from ..architecture.outputs import find_output
from ..images.decode import ImageError
from ..images.gather import Item, gather
from ..images.preprocessing import Preprocessed, normalise
from ..inference.bands import Band, find_band, read_bands
from ..inference.parallel import CHUNK, batched, spread
from ..inference.trace import best_classes
from ..methods import METHODS, find_method, method_title
from .common import (
    AddCommand,
    add_strict,
    list_bad,
    load_model,
    note_not_applicable,
    note_resumed,
    print_assumptions,
    trace_image,
)
from .progress import Progress
from .table import Table

if TYPE_CHECKING:
    from ..inference.classifier import Classifier

STRETCH = "use the whole range of a 16-bit grey image that uses its lower bits only, as 12-bit data does"
SOURCES = "a file, a folder (with its subfolders) or a pattern in quotes, such as 'scans/*.png'"
PAGE = "explorer.html"
# Of each picture: the logits (K,), and the pooled vector (D,) where a gauge needs it.
Answer = tuple[Item, Preprocessed | ImageError, "np.ndarray | None", "np.ndarray | None"]


def classify(options: argparse.Namespace) -> int:
    if options.top < 1:
        raise ValueError(f"--top is {options.top}; expected 1 or more classes")
    items = gather(options.images)
    classifier = load_model(options)
    if options.strict and (bad := _find_bad(classifier, items, options.stretch)):
        return _refuse(bad, len(items))
    print_assumptions(classifier.config)
    table = Table(options.out, _columns(classifier, options.top), _model(classifier, options)) if options.out else None
    digests = {item: _digest(item) for item in items} if table is not None else {}
    left = [item for item in items if table is None or not table.has(item.name, digests[item])]
    note_resumed(len(items) - len(left))
    answers, bad, progress = [], {}, Progress(len(left))
    probabilities = find_output(classifier.config.output).probabilities
    bands = read_bands(classifier.metrics)
    gauge = classifier.gauge if options.json and table is None else None
    for item, prepared, logits, pooled in _answers(classifier, left, options.stretch, gauge is not None):
        progress.step()
        if isinstance(prepared, ImageError) or logits is None:
            bad[item] = str(prepared)
            continue
        if prepared.note:
            progress.clear()
            print(f"cct_viz: note: {prepared.note}", file=sys.stderr)
        top = best_classes(classifier.labels, probabilities(logits), options.top)
        if table is not None:
            table.add({"image": item.name, "sha256": digests[item], "note": prepared.note, **_flat(top)})
        elif options.json:
            named = [{"label": label, "probability": p} for label, p in top]
            usual = None if gauge is None or pooled is None else gauge.record(pooled)
            band = find_band(bands, top[0][1])
            worth = None if band is None else band.record()
            answers.append({"image": str(item.path), "top": named, "band": worth, "usual": usual})
        else:
            progress.clear()
            named_top = ", ".join(f"{label} {p:.1%}" for label, p in top)
            print(f"{_printable(item.path)}: {named_top}{_worth(find_band(bands, top[0][1]))}")
    progress.clear()
    if table is not None:
        table.close()
        print(json.dumps({"table": str(table.path), "rows": len(table)}) if options.json else table.path)
    elif options.json:
        print(json.dumps(answers))
    return _report(bad, len(items))


def explain(options: argparse.Namespace) -> int:
    from ..reports.paper import Look

    items = gather([options.image, *options.images])
    look = Look(options.format, options.style, options.size, options.dpi)
    chosen = dict(_read_option(text) for text in options.option)
    for source in (options.image, *options.images):
        if Path(source).is_dir() and options.out.resolve().is_relative_to(Path(source).resolve()):
            raise ValueError(f"{options.out} is in {source}, where its figures would be pictures; choose another --out")
    check_folder(options.out)
    classifier = load_model(options)
    if options.strict and (bad := _find_bad(classifier, items, options.stretch)):
        return _refuse(bad, len(items))
    print_assumptions(classifier.config)
    if len(items) == 1 and items[0].named:
        return _explain_one(classifier, items[0].path, options.out, options, chosen, look)
    return _explain_many(classifier, items, options, chosen, look)


def _explain_one(
    classifier: Classifier, path: Path, out: Path, options: argparse.Namespace, chosen: dict[str, Any], look: Any
) -> int:
    record = _write(classifier, path, out, options, chosen, look)
    _note_missing([record])
    if options.json:
        print(json.dumps(record))
    else:
        best = record["top"][0]
        print(f"{path}: {best['label']} {best['probability']:.1%}")
        print(f"The explanation of class {record['target']} is in {out}")
        for method, entry in record["explanations"].items():
            if entry.get("note"):
                print(f"{method}: {entry['note']}")
        if record["headline"] in record["explanations"]:
            print(
                f"The headline map is {record['headline']}: the first in this model's score table of those that need "
                "no further pass of the model."
            )
    return 0


def _explain_many(
    classifier: Classifier, items: Sequence[Item], options: argparse.Namespace, chosen: dict[str, Any], look: Any
) -> int:
    """One folder a picture in --out, and pictures.csv; what an earlier run has finished is not done again."""
    from ..reports.bundle import make_request

    methods = [find_method(name) for name in options.method or METHODS]
    request = make_request(methods, options.target, chosen, look)
    table = Table(options.out / "pictures.csv", ["target", *_columns(classifier, 5)], _model(classifier, options))
    records, bad, resumed, progress = [], {}, 0, Progress(len(items))
    for item in items:
        folder, digest = options.out / item.name, _digest(item)
        done = table.has(item.name, digest) and (not options.page or (folder / PAGE).exists())
        record = _read_finished(folder, classifier, request) if done else None
        resumed += record is not None
        try:
            record = record or _write(classifier, item.path, folder, options, chosen, look)
        except ImageError as error:
            bad[item] = str(error)
        else:
            records.append(record)
            if not table.has(item.name, digest):
                top = [(entry["label"], entry["probability"]) for entry in record["top"]]
                row = {"image": item.name, "sha256": digest, "target": record["target"], "note": record["note"]}
                table.add(row | _flat(top))
        progress.step()
    progress.clear()
    table.close()
    note_resumed(resumed)
    _note_missing(records)
    answer = {"out": str(options.out), "table": str(table.path), "pictures": len(records)}
    print(json.dumps(answer) if options.json else f"{len(records)} explanations are in {options.out}")
    return _report(bad, len(items))


def _write(
    classifier: Classifier, path: Path, out: Path, options: argparse.Namespace, chosen: dict[str, Any], look: Any
) -> dict[str, Any]:
    from ..reports.bundle import write_bundle

    methods = {"methods": options.method} if options.method else {}
    trace = trace_image(classifier, str(path), options)
    record = write_bundle(classifier, trace, out, target=options.target, options=chosen, look=look, **methods)
    if options.page:
        from ..web.site import write_page

        write_page(classifier, path, out / PAGE)
    return record


def _read_finished(folder: Path, classifier: Classifier, request: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of a bundle that an earlier run made of the same model with the same options."""
    from ..reports.bundle import MANIFEST

    try:
        record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        same = record["request"] == request and record["model"]["sha256"] == classifier.source.sha256
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if same else None


def _answers(classifier: Classifier, items: Sequence[Item], stretch: bool, pool: bool) -> Iterator[Answer]:
    """Each picture, prepared, with what the model answers; files are decoded in the threads that run the model."""

    def answer(chunk: Sequence[Item]) -> list[Answer]:
        prepared = [_prepare(classifier, item, stretch) for item in chunk]
        good = [one for one in prepared if isinstance(one, Preprocessed)]
        if not good:
            return [(item, one, None, None) for item, one in zip(chunk, prepared, strict=True)]
        batch = normalise(np.stack([one.pixels for one in good]), classifier.config.preprocessing)
        logits, pooled = classifier.read_pooled(batch) if pool else (classifier.forward(batch), [None] * len(good))
        answers = iter(zip(logits, pooled, strict=True))
        return [
            (item, one, *(next(answers) if isinstance(one, Preprocessed) else (None, None)))
            for item, one in zip(chunk, prepared, strict=True)
        ]

    for answers in spread(answer, batched(items, CHUNK)):
        yield from answers


def _prepare(classifier: Classifier, item: Item, stretch: bool) -> Preprocessed | ImageError:
    try:
        return classifier.preprocess(item.path, stretch=stretch)
    except ImageError as error:
        return error


def _find_bad(classifier: Classifier, items: Sequence[Item], stretch: bool) -> dict[Item, str]:
    """Every file that is no readable picture, with the reason."""

    def look(item: Item) -> str:
        prepared = _prepare(classifier, item, stretch)
        return str(prepared) if isinstance(prepared, ImageError) else ""

    return {item: problem for item, problem in zip(items, spread(look, items), strict=True) if problem}


def _refuse(bad: dict[Item, str], count: int) -> int:
    print(f"cct_viz: {len(bad)} of {count} files are no readable pictures; nothing was done:", file=sys.stderr)
    list_bad({item.path: problem for item, problem in bad.items()})
    return 1


def _report(bad: dict[Item, str], count: int) -> int:
    """List all skipped files at once. Returns 1 if one of them was named itself."""
    if bad and count == 1:
        print(f"cct_viz: {next(iter(bad.values()))}", file=sys.stderr)
    elif bad:
        print(f"cct_viz: skipped {len(bad)} of {count} files, which are no readable pictures:", file=sys.stderr)
        list_bad({item.path: problem for item, problem in bad.items()})
    return int(any(item.named for item in bad))


def _note_missing(records: Sequence[dict[str, Any]]) -> None:
    """Name the methods that do not apply, which are the same for all pictures."""
    entries = records[0]["explanations"] if records else {}
    note_not_applicable(name for name, entry in entries.items() if "not_applicable" in entry)


def _columns(classifier: Classifier, top: int) -> list[str]:
    ranks = range(1, min(max(top, 1), len(classifier.labels)) + 1)
    return ["image", "sha256", *(f"{name}_{rank}" for rank in ranks for name in ("label", "probability")), "note"]


def _flat(top: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Columns of the best classes: label_1, probability_1, label_2, ..."""
    row: dict[str, Any] = {}
    for rank, (label, probability) in enumerate(top, 1):
        row |= {f"label_{rank}": label, f"probability_{rank}": probability}
    return row


def _model(classifier: Classifier, options: argparse.Namespace) -> str:
    """What the rows of a table have in common: the model, and whether 16-bit pictures were stretched."""
    return f"{classifier.source.name}@{classifier.source.sha256[:12]}" + " --stretch" * options.stretch


def _digest(item: Item) -> str:
    """SHA-256 of a file; empty for one that cannot be read, which the decoder then says."""
    try:
        return sha256(item.path)
    except OSError:
        return ""


def _worth(band: Band | None) -> str:
    """What the first probability is worth, in words; empty if that was not measured."""
    if band is None or not band.images:
        return ""
    return f" ({band.record()['of_100']} of 100 such answers were right, on pictures of the model's own classes)"


def _printable(path: Path) -> str:
    """The path without bytes that are no text, which a terminal refuses."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _read_option(text: str) -> tuple[str, Any]:
    """NAME=VALUE -> name and value; a value that is not JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--option {text!r} has no '='; write NAME=VALUE, for example alpha=0.3")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def add(command: AddCommand) -> None:
    """Add the commands to the parser."""
    sub = command(classify, "Name the most probable classes of pictures.", loads=True)
    sub.add_argument("images", nargs="+", metavar="IMG", help=SOURCES)
    _add_for_many(sub)
    sub.add_argument("--top", type=int, default=5, help="number of classes to print (default: %(default)s)")
    text = "write a table: .csv, .jsonl or .parquet. Repeat the command to continue it"
    sub.add_argument("--out", type=Path, metavar="FILE", help=text)

    text = "Write pictures, numbers and the whole trace of an image to a folder, or to one subfolder for each image."
    sub = command(explain, text, loads=True)
    sub.add_argument("image", metavar="IMG", help=SOURCES)
    sub.add_argument("images", nargs="*", metavar="IMG")
    text = "folder to write to. With several images, repeat the command to continue"
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help=text)
    sub.add_argument(
        "--method", action="append", help="a name in the list below; may be repeated (default: all that apply)"
    )
    sub.formatter_class = argparse.RawDescriptionHelpFormatter
    sub.epilog = "methods:\n" + "".join(f"  {name:26}{method_title(name)}\n" for name in METHODS)
    sub.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option of every method that has it; may be repeated",
    )
    _add_for_many(sub)
    sub.add_argument("--target", help="class to explain, name or index (default: the top-1 class)")
    sub.add_argument("--format", default="png", metavar="FORMAT", help="png, svg or pdf (default: %(default)s)")
    sub.add_argument(
        "--style",
        default="full",
        help="full, panels (without words), overlay (maps alone) or bar (colour bar alone) (default: %(default)s)",
    )
    sub.add_argument(
        "--size",
        metavar="WIDTH",
        help="width of figures: single (89 mm), double (183 mm) or millimetres (default: 66 mm for each panel)",
    )
    sub.add_argument("--dpi", type=int, help="pixels in an inch (default: 150, with --size 300)")
    sub.add_argument("--page", action="store_true", help="also write explorer.html, with the model inside")


def _add_for_many(sub: argparse.ArgumentParser) -> None:
    add_strict(sub)
    sub.add_argument("--stretch", action="store_true", help=STRETCH)
