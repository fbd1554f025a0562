"""`classify` and `explain`: what a model says about pictures, and why."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .common import AddCommand, load_model, note_not_applicable, print_assumptions, trace_image

STRETCH = "use the whole range of a 16-bit grey image that uses its lower bits only, as 12-bit data does"


def classify(options: argparse.Namespace) -> int:
    classifier, failed = load_model(options), False
    print_assumptions(classifier.config)
    answers = []
    for image in options.images:
        try:
            trace = trace_image(classifier, image, options)
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
    from ..reports.bundle import write_bundle

    classifier = load_model(options)
    methods = {"methods": options.method} if options.method else {}
    chosen = dict(_read_option(text) for text in options.option)
    print_assumptions(classifier.config)
    trace = trace_image(classifier, options.image, options)
    record = write_bundle(classifier, trace, options.out, target=options.target, options=chosen, **methods)
    if options.page:
        from ..web.site import write_page

        write_page(classifier, Path(options.image), options.out / "explorer.html")
    note_not_applicable(name for name, entry in record["explanations"].items() if "not_applicable" in entry)
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


def add(command: AddCommand) -> None:
    """Add the commands to the parser."""
    sub = command(classify, "Name the most probable classes of images.", loads=True)
    sub.add_argument("images", nargs="+", metavar="IMG")
    sub.add_argument("--stretch", action="store_true", help=STRETCH)
    sub.add_argument("--top", type=int, default=5, help="number of classes to print (default: %(default)s)")

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
