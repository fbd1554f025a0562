"""A static site with models inside: a folder that any web host can serve."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .html import TITLE, carry_patches, carry_weights, describe_gallery, describe_model, describe_picture, page_html
from .site_files import HEAD, check_place, site_files

if TYPE_CHECKING:
    from ..inference.classifier import Classifier


def write_site(
    classifiers: Sequence[Classifier], out: Path, images: Sequence[Path] = (), *, space: bool = False
) -> Path:
    """Write `out`/index.html, which runs all `classifiers` on `images` and on any photo of its visitor.

    The page also opens from disk. Served over https it can be installed, and works offline after the first visit.

    Args:
        classifiers: the first one runs at the start.
        images: pictures to start with; the project's own gallery if there are none.
        space: also write a README.md, which makes the folder a static Space.

    Returns:
        The path of index.html.

    Raises:
        ImageError: an image cannot be read.
        CheckpointError: a weight is too large for float16.
        OSError: `out` cannot be written, or has an index.html or README.md that is not from an earlier site.
    """
    check_place(out, space=space)
    named = _name_pictures(images)
    labels = {label for classifier in classifiers for label in classifier.labels}
    pictures = [describe_picture(path, name) for name, path in named.items()] or describe_gallery(labels)
    models = [_carry(classifier) for classifier in classifiers]
    page = page_html(models, pictures, head=HEAD)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in site_files(page, space=space).items():
        (out / name).write_bytes(content)
    return out / "index.html"


def write_page(classifier: Classifier, image: Path, path: Path) -> None:
    """Write one HTML file with the explorer of a picture and the model inside, which explains other photos too.

    Raises:
        ImageError: the image cannot be read.
        CheckpointError: a weight is too large for float16.
        OSError: `path` cannot be written.
    """
    page = page_html([_carry(classifier)], [describe_picture(image, image.stem)], title=f"{image.stem}: {TITLE}")
    path.write_text(page, encoding="utf-8")


def _carry(classifier: Classifier) -> dict[str, Any]:
    """The model with all that a page shows of it inside."""
    return describe_model(classifier, carry_weights(classifier), carry_patches(classifier))


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
