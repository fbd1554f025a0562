"""`analyse` and `report`: a data set at a time, to Parquet, and what it says of the model."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..architecture.files import check_file, check_folder
from ..dataset.analyse import analyse as run_analysis
from ..dataset.analyse import read_analysis
from ..dataset.engines import ENGINES
from ..dataset.measures import METHODS
from .common import AddCommand, load_model, note_not_applicable, note_resumed, print_assumptions
from .pictures import STRETCH
from .progress import Progress


def analyse(options: argparse.Namespace) -> int:
    check_folder(options.out)
    classifier = load_model(options)
    print_assumptions(classifier.config)
    progress: Progress | None = None

    def show(done: int, total: int) -> None:
        nonlocal progress
        progress = progress or Progress(total)
        progress.step(done - progress.done)

    analysis = run_analysis(
        classifier,
        options.source,
        options.out,
        engine=options.engine,
        workers=options.workers,
        methods=options.method or METHODS,
        faithfulness=options.faithfulness,
        stretch=options.stretch,
        progress=show,
    )
    if progress:
        progress.clear()
    note_not_applicable(analysis.manifest["not_applicable"])
    note_resumed(analysis.manifest["pictures"] - (progress.total if progress else 0))
    problems = analysis.problems().num_rows
    pictures = analysis.manifest["pictures"] - problems
    if problems:
        text = f"cct_viz: {problems:,} of {analysis.manifest['pictures']:,} pictures cannot be read: see "
        text += str(options.out / "problems")
        print(text, file=sys.stderr)
    answer = {"out": str(options.out), "pictures": pictures, "problems": problems}
    print(json.dumps(answer) if options.json else f"{pictures} pictures are analysed in {options.out}")
    return 0


def report(options: argparse.Namespace) -> int:
    from ..reports.report import write_report

    path = options.out or options.folder / "report.html"
    check_file(path)
    findings = write_report(read_analysis(options.folder), path)
    answer = {"out": str(path), "pictures": findings.pictures, "accuracy": findings.accuracy}
    print(json.dumps(answer) if options.json else f"The report of {findings.pictures:,} pictures is in {path}")
    return 0


def add(command: AddCommand) -> None:
    """Add the commands to the parser."""
    sub = command(
        report, "Write what the tables of `analyse` say of a model, and beside it the sheets of the strongest patches."
    )
    sub.add_argument("folder", type=Path, metavar="DIR", help="what `analyse` wrote")
    sub.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write to, .html or .pdf (default: report.html in DIR)"
    )
    text = "Write maps, scores and more of every picture of a data set to Parquet. Repeat the command to continue it."
    sub = command(analyse, text, loads=True)
    text = "a folder, a pattern in quotes, Parquet or tar files, or an address such as hf://datasets/OWNER/NAME"
    sub.add_argument("source", metavar="SOURCE", help=text)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    text = "threads of this process, or Ray, on this machine or on the cluster of RAY_ADDRESS (default: %(default)s)"
    sub.add_argument("--engine", choices=tuple(ENGINES), default="threads", help=text)
    text = "number of threads or of actors (default: 3 threads, or an actor for each processor of the cluster)"
    sub.add_argument("--workers", type=int, metavar="N", help=text)
    text = f"map to record, its method's name; may be repeated (default: {', '.join(METHODS)})"
    sub.add_argument("--method", action="append", metavar="METHOD", help=text)
    sub.add_argument("--faithfulness", action="store_true", help="also measure how faithful each map is; takes long")
    sub.add_argument("--stretch", action="store_true", help=STRETCH)
