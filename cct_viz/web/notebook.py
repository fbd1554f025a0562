"""The explorer of one trace in the output cell of a notebook: a frame that needs no server and no network."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

from ..checkpoints import CheckpointError
from ..images.encode import data_url
from ..inference.classifier import Classifier
from ..inference.trace import Trace
from .html import TITLE, carry_weights, describe_model, page_html
from .payload import make_payload, shown_photo

MOST_BYTES = 4_000_000  # of a model's weights as float16 in a cell, which the notebook's file keeps
# No same-origin: the page can neither read the notebook nor run its cells.
SANDBOX = "allow-scripts allow-downloads"


@dataclass(frozen=True, repr=False)
class Frame:
    """A page for the output cell of a notebook: the last value of a cell is shown.

    Attributes:
        page: the page as one HTML text.
        height: of the frame, in CSS pixels; its lower right corner resizes it.
    """

    page: str
    height: int = 760

    def _repr_html_(self) -> str:
        style = f"width:100%;height:{self.height}px;border:0;resize:vertical"
        return (
            f'<iframe title="{escape(TITLE)}" sandbox="{SANDBOX}" allow="clipboard-write" style="{style}" '
            f'srcdoc="{escape(self.page)}"></iframe>'
        )

    def __repr__(self) -> str:
        return f"<the explorer as one page of {len(self.page) / 1e6:.1f} MB; a notebook shows it>"


def explore(trace: Trace, *, height: int = 760) -> Frame:
    """The explorer of a trace, for the output cell of a notebook (Jupyter, JupyterLab, VS Code, Colab).

    It works without a server and stays in the saved notebook. The page has the trace's numbers. A model of at most
    MOST_BYTES is in it too, so that it also explains other photos and runs without tokens; for a larger model, and
    where the notebook allows no worker, these tools say that they need the model. The page is in English only, because
    the notebook's file keeps every cell.

    Args:
        trace: from `Classifier.trace`.
        height: of the frame, in CSS pixels.

    Raises:
        ValueError: the trace was made without a classifier, or unpickled.
    """
    if trace.classifier is None:
        raise ValueError("this trace does not know its model; make it with classifier.trace(image)")
    model = describe_model(trace.classifier, _weights(trace.classifier), patches=())
    payload = make_payload(trace)
    return Frame(page_html([model], [_describe_picture(trace)], payload=payload, languages=False), height)


def _weights(classifier: Classifier) -> dict[str, str] | None:
    if 2 * classifier.num_parameters > MOST_BYTES:
        return None
    try:
        return carry_weights(classifier)
    except CheckpointError:  # a weight is too large for float16
        return None


def _describe_picture(trace: Trace) -> dict[str, Any]:
    """The picture as Python prepared it: the page neither crops nor scales it again."""
    prepared = {
        "pixels": data_url(trace.pixels),
        "original": trace.geometry.original_size,
        "crop": trace.geometry.box,
    }
    about = {"id": "picture", "name": "picture", "kind": "photo", "truth": None}
    return {**about, "address": shown_photo(trace.image), "prepared": prepared}
