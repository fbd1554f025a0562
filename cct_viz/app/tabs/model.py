"""The model tab: architecture, training curves, validation metrics and source of the weights."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ...architecture.blocks import find_block
from ...architecture.config import CCTConfig
from ...architecture.cost import count_macs
from ...architecture.geometry import stage_geometry
from ...architecture.outputs import find_output
from ...architecture.pools import find_pool
from ...reports.figures import colourise
from ..models import Models
from ..plot import draw_plot
from ..view import Shown, View
from ..words import TIMES, caption, facts, section

if TYPE_CHECKING:
    from ...inference.classifier import Classifier

CURVES = (("accuracy", "val_accuracy", "Accuracy", True), ("loss", "val_loss", "Loss", False))
LOSS = "Training loss includes label smoothing where it was used; cross-entropy is without it."


def build(shown: gr.State, models: Models) -> View:
    page = gr.HTML(js_on_load=None, elem_id="model-page")

    def draw(shown: Shown | None) -> list[Any]:
        return [describe_model(models.get(shown.card.name), shown)] if shown else [caption("Choose a picture first.")]

    return View([page], draw)


def describe_model(classifier: Classifier, shown: Shown) -> str:
    config, folder = classifier.config, classifier.folder
    parts = [section("Architecture", architecture(config))]
    history, metrics = _read_history(folder), classifier.metrics
    if metrics:
        numbers = figures(metrics, config), confusion(metrics, config.labels)
        parts.append(section("Measured on the validation images", *numbers))
    if isinstance(history, list) and len(history) > 1:
        parts.append(section("Training", curves(history), caption(LOSS)))
    if config.assumptions:
        parts.append(section("What was assumed", *map(caption, config.assumptions)))
    source = classifier.source
    lines = [*facts(shown.card), f"weights with SHA-256 {source.sha256}"]
    parts.append(section("Source", "".join(caption(line) for line in lines), _card(folder)))
    return "".join(parts)


def architecture(config: CCTConfig) -> str:
    """The network as a row of boxes, from the pixels to the classes."""
    height, width = config.image_size
    boxes = [("Pixels", f"{height}{TIMES}{width}{TIMES}{config.channels}", "grey" if config.channels == 1 else "")]
    for i, (stage, shape, geometry) in enumerate(
        zip(config.tokenizer, config.stage_shapes, stage_geometry(config), strict=True), 1
    ):
        what = f"{stage.kernel_size}{TIMES}{stage.kernel_size} convolution"
        what += f", stride {stage.stride}" if stage.stride > 1 else ""
        what += ", ReLU" if stage.relu else ""
        what += f", {stage.pool_size}{TIMES}{stage.pool_size} max pool" if stage.pool_size else ""
        size = f"{shape[0]}{TIMES}{shape[1]}{TIMES}{stage.channels}"
        sees = TIMES.join(map(str, geometry.window_size))
        boxes.append((f"Tokenizer {i}", size, f"{what}; receptive field {sees} pixels"))
    gh, gw = config.stage_shapes[-1]
    boxes.append(("Tokens", f"{gh * gw}{TIMES}{config.embedding_dim}", f"{config.position} position"))
    order = find_block(config.block).summary
    heads = f"{config.num_heads} heads of width {config.key_dim}, MLP {config.mlp_dim}; {order}"
    boxes.append((f"{config.num_layers} encoder block{'s' * (config.num_layers > 1)}", "", heads))
    pool = find_pool(config.pool)
    boxes.append((pool.title, f"{config.embedding_dim}", pool.summary))
    boxes.append(("Classes", f"{config.num_classes}", f"linear head, {config.output}"))
    items = "".join(
        f"<li><b>{escape(name)}</b><span>{escape(size)}</span><small>{escape(text)}</small></li>"
        for name, size, text in boxes
    )
    macs = f"{count_macs(config) / 1e6:,.1f} M multiply-accumulates (MACs) per image."
    return f'<ol class="network">{items}</ol>{caption(macs)}'


def figures(metrics: Mapping[str, Any], config: CCTConfig) -> str:
    """The metrics from `evaluate`, as a sentence."""
    one = find_output(config.output).exclusive
    texts = {
        "accuracy": lambda v: f"{'top-1 accuracy' if one else 'right answers (yes from 50 %)'} {100 * v:.2f} %",
        "top5": lambda v: f"top-5 {100 * v:.2f} %",
        "loss": lambda v: f"{'cross-entropy' if one else 'binary cross-entropy'} {v:.4f}",
        "ece": lambda v: f"calibration error {100 * v:.1f} % (15 bins)",
    }
    measured = ", ".join(text(metrics[name]) for name, text in texts.items() if name in metrics)
    return caption(f"{measured[:1].upper()}{measured[1:]}; on {metrics.get('images', 0):,} images.")


def confusion(metrics: Mapping[str, Any], labels: Sequence[str]) -> str:
    """The confusion matrix as a table; cells are shaded by their fraction of the row. For independent classes, the
    counts of each class."""
    rows = metrics.get("confusion")
    if not rows or len(labels) > 20:
        return ""
    counts = np.asarray(rows, float)
    if counts.ndim == 3:
        return _answers(counts.astype(int).reshape(-1, 4), labels)
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
    words = caption("Rows: true classes. Columns: predicted classes.")
    return f'<div class="wide" tabindex="0" role="region" aria-label="Confusion matrix">{table}</div>{words}'


def _answers(counts: np.ndarray, labels: Sequence[str]) -> str:
    """(K, 4) counts of right no, wrong yes, wrong no and right yes as a table."""
    head = "".join(f'<th scope="col">{name}</th>' for name in ("right no", "wrong yes", "wrong no", "right yes"))
    body = "".join(
        f'<tr><th scope="row">{escape(label)}</th>{"".join(f"<td>{count}</td>" for count in row)}</tr>'
        for label, row in zip(labels, counts, strict=True)
    )
    table = f'<table><thead><tr><th scope="col">class</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wide" tabindex="0" role="region" aria-label="Answers for each class">{table}</div>'


def curves(history: Sequence[dict[str, float]]) -> str:
    """Plots of training and validation accuracy and loss over the epochs."""
    plots = []
    for training, validation, title, percent in CURVES:
        lines = [[float(epoch[name]) for epoch in history if name in epoch] for name in (training, validation)]
        if all(len(line) > 1 for line in lines):
            plots.append(_curve(title, lines, percent=percent))
    return f'<div class="plots">{"".join(plots)}</div>' if plots else ""


def _curve(title: str, lines: Sequence[Sequence[float]], *, percent: bool) -> str:
    """One plot from 0 upwards: a thin line for the training images, a thick one for the validation images."""
    top = 1.0 if percent else max(map(max, lines))
    count, end = len(lines[1]), f"{100 * lines[1][-1]:.2f} %" if percent else f"{lines[1][-1]:.3f}"
    return draw_plot(
        [
            (kind, (np.linspace(0, 1, len(line)), np.asarray(line) / top))
            for kind, line in zip(("thin", "thick"), lines, strict=True)
        ],
        ticks=("0 %", "50 %", "100 %") if percent else [f"{share * top:.2f}" for share in (0.0, 0.5, 1.0)],
        ends=("1", f"epoch {count}"),
        label=f"{title} over {count} epochs; on validation images it ends at {end}",
        words=f"<b>{title}</b> thick: validation images, {end} at the end; thin: augmented training images",
    )


def _read_history(folder: Path | None) -> Any:
    """The history.json in the folder of the weights; None if it is missing or cannot be read."""
    if folder is None:
        return None
    try:
        return json.loads((folder / "history.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _card(folder: Path | None) -> str:
    """The weights' own card as it is written, without its front matter."""
    if folder is None:
        return ""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
    if text.startswith("---\n"):
        text = text.partition("\n---\n")[2]
    return f'<details><summary>The model card</summary><pre class="readme">{escape(text.strip())}</pre></details>'
