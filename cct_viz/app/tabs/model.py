"""The model page: architecture drawn from the configuration, how it was trained, what it scored, where it came from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...architecture.blocks import find_block
from ...architecture.config import CCTConfig
from ...architecture.cost import count_macs
from ...architecture.geometry import stage_geometry
from ...architecture.pools import find_pool
from ...reports.figures import colourise
from ..models import Models
from ..view import Shown, View
from ..words import TIMES, caption, facts, section

if TYPE_CHECKING:
    from ...inference.classifier import Classifier

CURVES = (("accuracy", "val_accuracy", "Accuracy", True), ("loss", "val_loss", "Loss", False))
LOSS = "The loss is what training made small, label smoothing included where it was used; cross-entropy is without it."
WIDTH, HEIGHT = 360, 190


def build(shown: gr.State, models: Models) -> View:
    page = gr.HTML(js_on_load=None, elem_id="model-page")

    def draw(shown: Shown | None) -> list[Any]:
        return [describe_model(models.get(shown.card.name), shown)] if shown else [caption("Choose a picture first.")]

    return View([page], draw)


def describe_model(classifier: Classifier, shown: Shown) -> str:
    config, folder = classifier.config, classifier.folder
    parts = [section("Architecture", architecture(config))]
    history, metrics = _read(folder, "history.json"), _read(folder, "metrics.json")
    if metrics:
        parts.append(section("Measured on the validation images", figures(metrics), confusion(metrics, config.labels)))
    if isinstance(history, list) and len(history) > 1:
        parts.append(section("Training", curves(history), caption(LOSS)))
    source = classifier.source
    lines = [*facts(shown.card), f"weights with SHA-256 {source.sha256}"]
    parts.append(section("Where it comes from", "".join(caption(line) for line in lines), _card(folder)))
    return "".join(parts)


def architecture(config: CCTConfig) -> str:
    """The network as a row of boxes: what comes in, what each part does, what comes out."""
    height, width = config.image_size
    boxes = [("Pixels", f"{height}{TIMES}{width}{TIMES}3", "")]
    for i, (stage, shape, geometry) in enumerate(
        zip(config.tokenizer, config.stage_shapes, stage_geometry(config), strict=True), 1
    ):
        what = f"{stage.kernel_size}{TIMES}{stage.kernel_size} convolution"
        what += f", stride {stage.stride}" if stage.stride > 1 else ""
        what += ", ReLU" if stage.relu else ""
        what += f", {stage.pool_size}{TIMES}{stage.pool_size} max pool" if stage.pool_size else ""
        size = f"{shape[0]}{TIMES}{shape[1]}{TIMES}{stage.channels}"
        sees = TIMES.join(map(str, geometry.window_size))
        boxes.append((f"Tokenizer {i}", size, f"{what}; a cell sees {sees} pixels"))
    gh, gw = config.stage_shapes[-1]
    boxes.append(("Tokens", f"{gh * gw}{TIMES}{config.embedding_dim}", f"{config.position} position"))
    order = find_block(config.block).summary
    heads = f"{config.num_heads} heads of width {config.key_dim}, MLP {config.mlp_dim}; {order}"
    boxes.append((f"{config.num_layers} encoder block{'s' * (config.num_layers > 1)}", "", heads))
    pool = find_pool(config.pool)
    boxes.append((pool.title, f"{config.embedding_dim}", pool.summary))
    boxes.append(("Classes", f"{config.num_classes}", "linear head"))
    made = "".join(
        f"<li><b>{escape(name)}</b><span>{escape(size)}</span><small>{escape(text)}</small></li>"
        for name, size, text in boxes
    )
    macs = f"{count_macs(config) / 1e6:,.1f} million multiplications, each with an addition, for one picture."
    return f'<ol class="network">{made}</ol>{caption(macs)}'


def figures(metrics: dict[str, Any]) -> str:
    """What `evaluate` measured, in words."""
    texts = {
        "accuracy": lambda v: f"{100 * v:.2f} % of the best guesses are right",
        "top5": lambda v: f"{100 * v:.2f} % among the five best",
        "loss": lambda v: f"cross-entropy {v:.4f}",
        "ece": lambda v: f"calibration error {100 * v:.1f} % (15 bins)",
    }
    known = [text(metrics[name]) for name, text in texts.items() if name in metrics]
    return caption(f"{'; '.join(known)}; on {metrics.get('images', 0):,} images.")


def confusion(metrics: dict[str, Any], labels: Sequence[str]) -> str:
    """What was taken for what, as a table whose cells are shaded by their share of the row."""
    rows = metrics.get("confusion")
    if not rows or len(labels) > 20:
        return ""
    counts = np.asarray(rows, float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    colours = colourise(shares, signed=False, limit=1.0)
    head = "".join(f'<th scope="col">{escape(label)}</th>' for label in labels)
    body = ""
    for label, line, share, colour in zip(labels, rows, shares, colours, strict=True):
        cells = "".join(
            f'<td style="background:rgb({r},{g},{b});color:{"#111" if s > 0.6 else "#fff"}">{count}</td>'
            for count, s, (r, g, b) in zip(line, share, colour, strict=True)
        )
        body += f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>'
    table = f'<table><thead><tr><th scope="col">is</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    words = caption("Rows: what the pictures are. Columns: what the model took them for.")
    return f'<div class="wide" tabindex="0" role="region" aria-label="Confusion matrix">{table}</div>{words}'


def curves(history: Sequence[dict[str, float]]) -> str:
    """Training and validation over the epochs."""
    made = []
    for training, validation, title, percent in CURVES:
        lines = [[float(epoch[name]) for epoch in history if name in epoch] for name in (training, validation)]
        if all(len(line) > 1 for line in lines):
            made.append(_curve(title, lines, percent=percent))
    return f'<div class="plots">{"".join(made)}</div>' if made else ""


def _curve(title: str, lines: Sequence[Sequence[float]], *, percent: bool) -> str:
    """One plot: a thin line for the training images, a thick one for the validation images, from 0 up."""
    top = 1.0 if percent else max(map(max, lines))
    drawn = ""
    for share in (0.0, 0.5, 1.0):
        y, words = 8 + (1 - share) * (HEIGHT - 40), f"{100 * share:.0f} %" if percent else f"{share * top:.2f}"
        drawn += f'<text x="34" y="{y + 4:.0f}" text-anchor="end">{words}</text>'
        drawn += f'<line x1="40" x2="{WIDTH - 12}" y1="{y:.1f}" y2="{y:.1f}"/>'
    for kind, line in zip(("thin", "thick"), lines, strict=True):
        across = 40 + np.arange(len(line)) / (len(line) - 1) * (WIDTH - 52)
        down = 8 + (1 - np.asarray(line) / top) * (HEIGHT - 40)
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True))
        drawn += f'<polyline class="{kind}" points="{points}"/>'
    count, end = len(lines[1]), f"{100 * lines[1][-1]:.2f} %" if percent else f"{lines[1][-1]:.3f}"
    drawn += f'<text x="40" y="{HEIGHT - 8}">1</text>'
    drawn += f'<text x="{WIDTH - 12}" y="{HEIGHT - 8}" text-anchor="end">epoch {count}</text>'
    label = f"{title} over {count} epochs; on validation images it ends at {end}"
    words = f"thick: validation images, {end} at the end; thin: training images as they were augmented"
    return (
        f'<figure class="plot"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{drawn}</svg>'
        f"<figcaption><b>{title}</b> {words}</figcaption></figure>"
    )


def _read(folder: Path, name: str) -> Any:
    """A JSON file beside the weights, or None where there is none that can be read."""
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _card(folder: Path) -> str:
    """The weights' own card as it is written, without its front matter."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    return f'<details><summary>The model card</summary><pre class="readme">{escape(text.strip())}</pre></details>'
