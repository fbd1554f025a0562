"""Pictures that callers send inside JSON, as data: URLs: stored as files before Gradio sees the request.

Gradio would hold the text as long as the call waits, and store the picture in a folder that nobody sweeps.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable

from . import settings
from .exchange import BodyError

Store = Callable[[bytes, str], str]  # content and name of a file -> its path
# In JSON, which is not parsed here: parsed, other values would take 30 times their bytes. Some programs write \/ for /.
TEXT = re.compile(rb'(?<!\\)"(data:[^"\\]*(?:\\/[^"\\]*)*)"', re.IGNORECASE)
HEAD = re.compile(rb"data:(?:image(?:/|\\/)([a-z0-9]{1,10}))?[^,]{0,100};base64,", re.IGNORECASE)
REFUSED = "refused: "  # and a sentence, in place of a data: URL
NOT_READABLE = "The data: URL cannot be read; expected data:image/png;base64, and the picture in base64."


def store_pictures(parts: list[bytes], store: Store, *, tell_in_place: bool) -> bytes:
    """A body of JSON with the path of a stored file in place of each data: URL.

    Args:
        parts: of the body. They are removed from the list, so that a picture is not in memory more often than needed.
        tell_in_place: put a sentence in place of a picture that is refused; what answers the call then says it.

    Raises:
        BodyError: there are more than `settings.MAX_FILES` pictures, what is left of the body is too large, or a
            picture is refused.
    """
    body = b"".join(parts)
    parts.clear()
    kept: list[bytes] = []
    end = 0
    for match in TEXT.finditer(body):
        if len(kept) == 2 * settings.MAX_FILES:
            raise BodyError(413, f"A request can have at most {settings.MAX_FILES} pictures.")
        text = memoryview(body)[match.start(1) : match.end(1)]
        kept += [body[end : match.start()], json.dumps(_replace(text, store, tell_in_place)).encode()]
        end = match.end()
    kept.append(body[end:])
    if sum(map(len, kept)) > settings.MAX_JSON_BYTES:
        raise BodyError(413, f"Without its pictures the request is larger than {settings.MAX_JSON_BYTES // 1000} kB.")
    return b"".join(kept)


def _replace(text: memoryview, store: Store, tell_in_place: bool) -> str:
    try:
        return _store(text, store)
    except BodyError as error:
        if not tell_in_place:
            raise
        return REFUSED + error.message


def _store(text: memoryview, store: Store) -> str:
    head = HEAD.match(text)
    if not head:
        raise BodyError(400, NOT_READABLE)
    coded: bytes | memoryview = text[head.end() :]
    if re.search(rb"\\", coded):
        coded = bytes(coded).replace(b"\\/", b"/")
    try:
        content = binascii.a2b_base64(coded, strict_mode=True)
    except ValueError:
        raise BodyError(400, NOT_READABLE) from None
    if len(content) > settings.MAX_UPLOAD_MB * settings.MB:
        raise BodyError(413, f"A picture can have at most {settings.MAX_UPLOAD_MB} MB.")
    return store(content, f"picture.{(head[1] or b'bin').decode().lower()}")
