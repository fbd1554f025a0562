"""Files that people give by mistake, for messages: what they are and what to do."""

from __future__ import annotations

from pathlib import Path

# How a file begins -> what it is and what to do
_BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: run 'git lfs pull'",
    b"<": "a web page, not a file of weights: download the file itself",
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x03\x04": "a zip archive that is cut off or holds no model: download it again, or unpack it first",
    b"{": "a JSON file, not a file of weights: give the file or folder that it describes",
}


def name_other(path: Path) -> str:
    """What a file is that no reader knows, to follow "FILE is"; "" if that is unknown."""
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        return f"a file that cannot be read ({error.strerror or error})"
    if not start:
        return "empty (0 bytes): download or save it again"
    if start[257:262] == b"ustar":
        return "a tar archive: unpack it first"
    text = start.lstrip().lower()
    known = (what for begin, what in _BEGINNINGS.items() if text.startswith(begin.lower()))
    return next(known, "")
