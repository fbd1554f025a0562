"""The tabs of the page: VIEWS lists them in order. To add one, write a file with `build(shown, models) -> View` and
list it here."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from ..models import Models
from ..view import View
from . import compare, explorer, take_away, trust
from . import model as model_page

VIEWS: dict[str, Callable[[gr.State, Models], View]] = {
    "Explorer": explorer.build,
    "Can I trust it?": trust.build,
    "Compare": compare.build,
    "Model": model_page.build,
    "Take it away": take_away.build,
}
