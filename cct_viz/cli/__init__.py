"""The command line: `python -m cct_viz COMMAND`. Answers go to stdout (JSON with --json), messages to stderr."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from typing import Any

from ..architecture.presets import DEFAULT
from ..checkpoints.hub import HubError
from . import checkpoints, dataset, measures, pages, pictures, training

GROUPS = (pages, pictures, dataset, checkpoints, training, measures)


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cct-viz", description="See how a compact transformer sees.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for group in GROUPS:
        group.add(functools.partial(_command, commands))
    return parser


def _command(
    commands: Any, run: Any, text: str, *, loads: bool = False, answers: bool = True, aliases: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """Add the command that `run` is named after; `loads` a model, `answers` on stdout."""
    sub = commands.add_parser(run.__name__, aliases=aliases, help=text, description=text)
    sub.set_defaults(run=run)
    if answers:
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
