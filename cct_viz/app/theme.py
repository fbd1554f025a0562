"""The look of the page around the explorer: theme, style sheet and one rule for phones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from ..reports.palette import ACCENT, BACKGROUND

# In <head>, because Gradio applies css only inside the container, whose margins are too wide for phones.
NARROW = "<style>@media (max-width: 640px) { .gradio-container > .main { padding: .75rem .6rem !important; } }</style>"
FONT = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
MONO = ["ui-monospace", "Menlo", "Consolas", "monospace"]
STYLE_SHEET = Path(__file__).with_name("style.css")


def theme() -> gr.themes.Base:
    """Plain cards with thin borders and one accent colour; text has AA contrast in both modes. System fonts only."""
    base = gr.themes.Base(
        primary_hue="indigo", secondary_hue="indigo", neutral_hue="slate", font=FONT, font_mono=MONO, radius_size="md"
    )
    return base.set(
        body_background_fill=BACKGROUND,
        body_background_fill_dark="#0f1320",
        background_fill_primary="white",
        background_fill_primary_dark="#171c2b",
        background_fill_secondary="#f4f5f9",
        background_fill_secondary_dark="#1d2334",
        body_text_color="#1a1f2e",
        body_text_color_dark="#e8eaf2",
        body_text_color_subdued="#4f576b",
        body_text_color_subdued_dark="#aab2c5",
        block_background_fill="white",
        block_background_fill_dark="#171c2b",
        block_border_color="#e1e4ec",
        block_border_color_dark="#2a3145",
        block_border_width="1px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill="white",
        block_label_background_fill_dark="#171c2b",
        block_label_text_color="#3c4357",
        block_label_text_color_dark="#c6ccdb",
        block_title_text_color="#3c4357",
        block_title_text_color_dark="#c6ccdb",
        block_info_text_color="#4f576b",
        block_info_text_color_dark="#aab2c5",
        input_background_fill="white",
        input_background_fill_dark="#1d2334",
        input_border_color="#c9cfdd",
        input_border_color_dark="#3a435c",
        input_placeholder_color="#5d667c",
        input_placeholder_color_dark="#9aa3b8",
        slider_color=ACCENT,
        slider_color_dark="#8b85f5",
        color_accent=ACCENT,
        color_accent_soft="#eef0fe",
        color_accent_soft_dark="#272c4d",
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_dark="#4f46e5",
        button_secondary_background_fill="#eef0f5",
        button_secondary_background_fill_dark="#262d40",
        button_secondary_text_color="#1a1f2e",
        button_secondary_text_color_dark="#e8eaf2",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="#1d2334",
        checkbox_label_background_fill_selected="#eef0fe",
        checkbox_label_background_fill_selected_dark="#272c4d",
        checkbox_label_text_color_selected="#1a1f2e",
        checkbox_label_text_color_selected_dark="#e8eaf2",
        checkbox_background_color_selected=ACCENT,
        checkbox_background_color_selected_dark="#8b85f5",
        link_text_color=ACCENT,
        link_text_color_dark="#a5b4fc",
        error_text_color="#a11212",
        error_text_color_dark="#ffb4ab",
    )


def appearance() -> dict[str, Any]:
    """The arguments of Gradio's `launch` that say how the page looks."""
    return {"theme": theme(), "head": NARROW, "css_paths": STYLE_SHEET}
