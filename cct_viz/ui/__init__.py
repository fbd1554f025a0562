"""The page. VIEWS are its tabs, in order; to add one, write a file with `build(shown) -> View` and its line here."""

from __future__ import annotations

from collections.abc import Callable

import gradio as gr

from . import attention, seqpool, tokenizer
from .view import View

VIEWS: dict[str, Callable[[gr.State], View]] = {
    "Tokenizer": tokenizer.build,
    "Attention": attention.build,
    "SeqPool": seqpool.build,
}
