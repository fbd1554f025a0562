"""A font for every letter: class names may be in any script, and Matplotlib's own font has few of them."""

from __future__ import annotations

import functools

import matplotlib
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

LAST_RESORT = "Last Resort"  # Matplotlib's boxes for what no font has
REGULAR = 400  # weight


def give_fonts(figure: Figure) -> None:
    """Give each text of the figure whose letters the default font lacks installed fonts that have them.

    Where no font has a letter, Matplotlib warns and draws a box.
    """
    default = list(matplotlib.rcParams["font.family"])
    for text in figure.findobj(Text):
        if further := _families_for(frozenset(text.get_text()), tuple(default)):
            text.set_fontfamily([*default, *further])


@functools.cache
def _letters(path: str) -> frozenset[int]:
    """The code points that a font file has."""
    return frozenset(font_manager.get_font(path).get_charmap())


@functools.lru_cache(maxsize=4096)
def _families_for(letters: frozenset[str], default: tuple[str, ...]) -> tuple[str, ...]:
    """As few installed families as cover the letters that `default` lacks; those without serifs first."""
    own = font_manager.findfont(font_manager.FontProperties(family=list(default)))
    lacking = {ord(letter) for letter in letters if letter.isprintable()} - _letters(own)
    if not lacking:
        return ()
    paths = {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and font.weight == REGULAR and not font.name.startswith(LAST_RESORT)
    }
    families, chosen = sorted(paths, key=lambda name: ("Sans" not in name, name)), []
    while lacking and families:
        best = max(families, key=lambda name: len(lacking & _letters(paths[name])))
        if not lacking & _letters(paths[best]):
            break
        chosen.append(best)
        lacking -= _letters(paths[best])
    return tuple(chosen)
