"""Pieces of HTML: chips, captions and small pictures.

Texts from users, files and models are escaped and are put into values, never into a component's template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from ..architecture.cost import describe_count
from ..checkpoints.given import ASSUMED_LABELS
from ..images.encode import data_url
from ..inference.trace import Trace
from .models import Card, HubLine, Models

TIMES, MINUS = "\N{MULTIPLICATION SIGN}", "\N{MINUS SIGN}"
EMPTY = "Upload a picture or choose an example to see how the model classifies it."
NOT_SHOWN = "Choose a picture first, or choose it again: the app deletes pictures after an hour and when it restarts."
MOST_ANSWERS = 3  # independent classes in a heading
LISTED = 12  # at most so many class names are listed
SOURCES = {"bundled": "bundled", "folder": "from a folder", "hub": "from the Hub"}


def facts(card: Card) -> list[str]:
    """Short texts about the weights: parameters, accuracy, source."""
    texts = [f"{describe_count(card.parameters)} parameters"]
    if card.accuracy is not None:
        texts.append(f"{100 * card.accuracy:.1f} % validation accuracy")
    return [*texts, f"{SOURCES[card.source]}, revision {card.revision}"]


def chip(card: Card | None, problem: str = "") -> str:
    """The weights in use, as a row of facts."""
    if card is None:
        return f'<div class="chip chip-empty">{escape(problem)}</div>'
    parts = [f"<b>{escape(card.name)}</b>", *map(escape, facts(card))]
    return '<div class="chip">' + " ".join(f"<span>{part}</span>" for part in parts) + "</div>"


def choice(card: Card) -> str:
    """A model as the picker lists it: name, size and, where it was measured, accuracy."""
    accuracy = "" if card.accuracy is None else f" · {100 * card.accuracy:.1f} %"
    return f"{card.title} · {describe_count(card.parameters)}{accuracy}"


def choices(models: Models) -> list[tuple[str, str]]:
    """(what a menu shows, the model's name) of every model."""
    return [(choice(models.card(name)), name) for name in models.names()]


def hub_text(line: HubLine) -> str:
    kind = "busy" if line.busy else "away" if line.can_retry else "quiet"
    return f'<p class="hub hub-{kind}" role="status">{escape(line.text)}</p>' if line.text else ""


def notice(text: str) -> str:
    """An error message, read out by screen readers."""
    return f'<p class="notice" role="alert">{escape(text.rstrip("."))}.</p>' if text else ""


def answer(trace: Trace) -> str:
    """The answer in a few words: the predicted class, or the independent classes with 50 % or more."""
    if trace.exclusive:
        return trace.labels[trace.class_index()]
    if len(trace.labels) == 1:
        label, share = trace.top(1)[0]
        return f"{label}: {'yes' if share >= 0.5 else 'no'}"
    yes = [label for label, share in trace.top(len(trace.labels)) if share >= 0.5]
    if not yes:
        return "No class reaches 50 %"
    return ", ".join(yes[:MOST_ANSWERS]) + (f" and {len(yes) - MOST_ANSWERS} more" if len(yes) > MOST_ANSWERS else "")


def prediction(trace: Trace, count: int, truth: str | None = None, assumptions: Sequence[str] = ()) -> str:
    """The answer as a heading, the `count` best classes as bars, the true label if it is given, and the assumptions
    that concern the names of the classes."""
    rows = "".join(
        f'<li><span>{escape(label)}</span><i style="width:{100 * p:.1f}%"></i><b>{100 * p:.1f} %</b></li>'
        for label, p in trace.top(count)
    )
    own = trace.exclusive or len(trace.labels) == 1
    alone = "" if own else caption("Each class has its own probability; they do not sum to 100 %.")
    label = "" if truth is None else caption(f"In CIFAR-10 this picture is labelled {truth}.")
    numbered = caption(ASSUMED_LABELS) if ASSUMED_LABELS in assumptions else ""
    return (
        f'<div class="card"><p class="caption">Prediction</p><h2>{escape(answer(trace))}</h2><ol>{rows}</ol>{alone}'
        f"{label}{numbered}</div>"
    )


def class_note(trace: Trace) -> str:
    """States what the model can answer at all."""
    labels = trace.labels
    if len(labels) == 1:
        return caption(f"This model knows one class, {labels[0]}, and answers with its probability.")
    classes = f"these {len(labels)} classes: {', '.join(labels)}" if len(labels) <= LISTED else f"{len(labels)} classes"
    if not trace.exclusive:
        return caption(f"This model knows only {classes}. It answers for each of them alone, with yes from 50 %.")
    return caption(f"This model knows only {classes}. Whatever a picture shows, it names the nearest of them.")


def section(title: str, *parts: str) -> str:
    """A card with a heading; the parts are HTML."""
    return f'<section class="card"><h3>{escape(title)}</h3>{"".join(parts)}</section>'


def example_buttons(pictures: Mapping[str, np.ndarray]) -> str:
    """A button for each example picture, name -> (h, w, 3) uint8."""
    buttons = [
        f'<button type="button" data-index="{i}" title="{escape(name)}" aria-label="Example: {escape(name)}">'
        f'<img src="{data_url(picture)}" alt=""></button>'
        for i, (name, picture) in enumerate(pictures.items())
    ]
    return f'<p class="caption">Or one of ten CIFAR-10 pictures</p><div class="examples">{"".join(buttons)}</div>'


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, unless it rounds to 0, and with a typographic minus."""
    text = f"{value:+z.{digits}f}".replace("-", MINUS)
    return text.removeprefix("+") if float(f"{value:z.{digits}f}") == 0 else text


def caption(*sentences: str) -> str:
    return f'<p class="caption">{escape(" ".join(filter(None, sentences)))}</p>'


def seen_figure(trace: Trace) -> str:
    """The pixels of the model's input, enlarged without smoothing."""
    height, width = trace.pixels.shape[:2]
    whole, crop = trace.geometry.original_size, trace.geometry.crop_size
    original = f"{whole[1]}{TIMES}{whole[0]}"
    text = f"{width}{TIMES}{height} pixels"
    if whole != (height, width):
        text += (
            f", resized from the centre {crop[1]}{TIMES}{crop[0]} of {original}"
            if crop != whole
            else f", resized from {original}"
        )
    if trace.is_grey:
        text += ", in grey (luminance)"
    return (
        f'<figure class="seen"><img src="{data_url(trace.pixels)}" alt="The picture at the {width} by {height} pixels '
        f'of the model input." style="aspect-ratio:{width}/{height}">'
        f"<figcaption><b>What the model saw</b> <span>{text}</span></figcaption></figure>"
        f"{caption(trace.note) if trace.note else ''}"
    )
