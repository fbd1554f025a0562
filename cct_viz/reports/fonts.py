"""A font for every letter: class names may be in any script, and Matplotlib's own font has few of them."""

from __future__ import annotations

import functools

from fontTools.ttLib import TTFont
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

LAST_RESORT = "Last Resort"  # Matplotlib's boxes for what no font has
REGULAR = 400  # weight


def give_fonts(figure: Figure) -> None:
    """Give each text of the figure whose letters its font lacks installed fonts that have them.

    Where no font has a letter, Matplotlib warns and draws a box.
    """
    for text in figure.findobj(Text):
        own = text.get_fontfamily()
        if further := _families_for(frozenset(text.get_text()), tuple(own)):
            text.set_fontfamily([*own, *further])


@functools.cache
def _letters(path: str) -> frozenset[int]:
    """The code points that a font file has."""
    return frozenset(font_manager.get_font(path).get_charmap())


@functools.cache
def _is_truetype(path: str) -> bool:
    """Whether PDF embeds its letters as TrueType, which publishers ask for; others are embedded as they are."""
    with TTFont(path, fontNumber=0, lazy=True) as font:
        return "glyf" in font


@functools.lru_cache(maxsize=4096)
def _families_for(letters: frozenset[str], own: tuple[str, ...]) -> tuple[str, ...]:
    """Installed families with the letters that the families `own` lack: again and again the one with most of them.

    Of several with as many, TrueType comes first, then a font without serifs.
    """
    missing = {ord(letter) for letter in letters if letter.isprintable()}
    for family in own:
        missing -= _letters(font_manager.findfont(font_manager.FontProperties(family=[family])))
    if not missing:
        return ()
    paths = {
        font.name: font.fname
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and font.weight == REGULAR and not font.name.startswith(LAST_RESORT)
    }
    chosen: list[str] = []
    while missing:
        counts = {name: len(missing & _letters(path)) for name, path in paths.items()}
        most = max(counts.values(), default=0)
        if not most:
            break
        best = [name for name, count in counts.items() if count == most]
        chosen.append(min(best, key=lambda name: (not _is_truetype(paths[name]), "Sans" not in name, name)))
        missing -= _letters(paths[chosen[-1]])
    return tuple(chosen)
