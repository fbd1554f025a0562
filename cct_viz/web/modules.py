"""The explorer's JavaScript modules, which draw everything about one picture from one payload.

The same modules run inside Gradio's HTML component, in an exported file opened from disk and in a static site. None of
the three can fetch a module, so the sources are embedded as text: the page creates a Blob for each, imported modules
first, and no file route is needed.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "legacy"
ENTRY = "main.js"

_IMPORT = re.compile(r'^(?:import|export) [^;]*?from "\./([\w.]+)";', re.MULTILINE)
_LOADER = (FOLDER / "loader.js").read_text()


@cache
def module_sources(entry: str = ENTRY) -> tuple[tuple[str, str], ...]:
    """(name, source) of `entry` and of every module it needs, each after its imports.

    Raises:
        ValueError: the imports form a cycle.
    """
    done: dict[str, str] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"modules import each other: {' -> '.join((*above, name))}")
        if name not in done:
            source = (FOLDER / name).read_text()
            for needed in _IMPORT.findall(source):
                visit(needed, (*above, name))
            done[name] = source

    visit(entry, ())
    return tuple(done.items())


def script(entry: str = ENTRY) -> str:
    """JavaScript that defines `loadExplorer()`: a promise of the module `entry`, with the style sheet as `style`.

    Safe inside a <script> element: no source can close the element.
    """
    sources = json.dumps(module_sources(entry)).replace("</", "<\\/")
    style = json.dumps((FOLDER / "explorer.css").read_text()).replace("</", "<\\/")
    return f"{_LOADER}\nconst loadExplorer = () => loadModules({sources}, {style});\n"
