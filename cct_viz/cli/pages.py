"""`app` and `site`: the explorer, served or as files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..app.serve import add_arguments, serve
from ..architecture.presets import PRESETS
from .common import AddCommand, load_model


def app(options: argparse.Namespace) -> int:
    serve(options)
    return 0


def site(options: argparse.Namespace) -> int:
    from ..inference.load import load
    from ..web.site import write_site

    others = [name for name, preset in PRESETS.items() if preset.folder and not preset.comparison]
    models = [load_model(options), *(load(name) for name in others if name != options.model)]
    path = write_site(models, options.out, options.images, space=options.space)
    print(json.dumps({"page": str(path), "bytes": path.stat().st_size}) if options.json else path)
    return 0


def add(command: AddCommand) -> None:
    """Add the commands to the parser."""
    text = "Serve the explorer's page on this machine."
    sub = command(app, text, answers=False)
    add_arguments(sub)

    text = "Write a static site with the models inside. It explains any photo and needs no server."
    sub = command(site, text, loads=True)
    sub.add_argument(
        "images",
        nargs="*",
        type=Path,
        metavar="IMG",
        help="pictures to start with (default: photos and CIFAR-10 pictures of the models' classes)",
    )
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    sub.add_argument("--space", action="store_true", help="also write the README.md of a static Space")
