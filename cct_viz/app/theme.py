"""What surrounds the explorer: nothing of Gradio's own page is left but its container."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from ..web.html import DESCRIPTION, TITLE

STYLE_SHEET = Path(__file__).with_name("style.css")
FONT = ["system-ui", "sans-serif"]  # Gradio's default would be asked of another host
# For previews of links; Gradio's own texts advertise Gradio. The margins are in <head>, because Gradio applies css only
# inside the container.
HEAD = f"""<style>body {{ margin: 0 }} .gradio-container > .main {{ padding: 0 !important }}</style>
<meta name="description" content="{escape(DESCRIPTION)}">
<meta property="og:title" content="{escape(TITLE)}">
<meta property="og:description" content="{escape(DESCRIPTION)}">
"""


def appearance() -> dict[str, Any]:
    """The arguments of Gradio's `launch` that say how the page looks."""
    theme = gr.themes.Base(font=FONT, font_mono=["monospace"])
    return {"theme": theme, "head": HEAD, "css_paths": STYLE_SHEET}
