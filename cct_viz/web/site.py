"""A static site with models inside: a folder that any web host can serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..architecture.cost import describe_count
from .examples import EXAMPLES
from .html import page_html
from .pack import pack_model
from .payload import About, make_payload
from .site_files import HEAD, TITLE, check_place, site_files

if TYPE_CHECKING:
    from ..inference.classifier import Classifier
    from ..inference.trace import Trace


def write_site(
    classifiers: Sequence[Classifier], out: Path, images: Sequence[Path] = EXAMPLES, *, space: bool = False
) -> Path:
    """Explain `images` with the first of `classifiers` and write `out`/index.html, which contains all classifiers.

    The page also opens from disk. Served over https it can be installed, and works offline from the second visit.

    Args:
        space: also write a README.md, which makes the folder a static Space.

    Returns:
        The path of index.html.

    Raises:
        ImageError: an image cannot be read.
        CheckpointError: a weight is too large for float16.
        OSError: `out` cannot be written, or has an index.html or README.md that is not from an earlier site.
    """
    check_place(out, space=space)
    first = classifiers[0]
    payloads = {name: _explain(first, first.trace(image), name) for name, image in _name_pictures(images).items()}
    words = (
        f"{len(payloads)} pictures, and any of yours, explained token by token. Everything is computed on your device."
    )
    models = [pack_model(one, _facts(one)) for one in classifiers]
    page = page_html(payloads, title=TITLE, facts=words, models=models, head=HEAD)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in site_files(page, space=space).items():
        (out / name).write_bytes(content)
    return out / "index.html"


def _name_pictures(images: Sequence[Path]) -> dict[str, Path]:
    """Image by file name without suffix; repeated names get a number."""
    named: dict[str, Path] = {}
    for image in images:
        name, count = image.stem, 1
        while name in named:
            count += 1
            name = f"{image.stem} {count}"
        named[name] = image
    return named


def write_page(classifier: Classifier, trace: Trace, path: Path, *, name: str) -> None:
    """Write one HTML file with the explorer of `trace` and the model inside, which explains other photos too.

    Raises:
        CheckpointError: a weight is too large for float16.
        OSError: `path` cannot be written.
    """
    title = f"{trace.labels[trace.class_index()]}: {name}"
    facts = _facts(classifier)
    words = f"{classifier.source.name} ({', '.join(facts)})"
    models = [pack_model(classifier, facts)]
    page = page_html({name: _explain(classifier, trace, name)}, title=title, facts=words, models=models)
    path.write_text(page, encoding="utf-8")


def _explain(classifier: Classifier, trace: Trace, name: str) -> str:
    return make_payload(trace, About(classifier.source.name, _facts(classifier), name, classifier.position_prior))


def _facts(classifier: Classifier) -> tuple[str, ...]:
    size, weights = (
        f"{describe_count(classifier.num_parameters)} parameters",
        f"weights {classifier.source.sha256[:10]}",
    )
    return size, weights, *(text.rstrip(".") for text in classifier.config.assumptions)
