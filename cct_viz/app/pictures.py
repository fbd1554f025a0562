"""Visitors' pictures as a model sees them: decoded one at a time, and once as long as the file exists."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from ..images.decode import ImageError, read_picture
from ..images.preprocessing import Preprocessed
from ..inference.classifier import Classifier

MAX_PICTURES = 8  # of 3 MB at most; a visitor looks at one


class Pictures:
    """Decodes pictures. Thread-safe.

    Decoding takes up to 20 times the memory of the result and seconds of processor time, from a file of 1 MB. So one
    runs at a time, and a file that is sent again and again costs nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: OrderedDict[tuple[object, ...], Preprocessed | str] = OrderedDict()

    def prepare(self, model: Classifier, image: Any) -> Preprocessed:
        """The crop and pixels of `image` for `model`; `image` is anything that `read_picture` takes.

        Raises:
            ImageError: the image cannot be read.
        """
        with self._lock:
            key = _identify(model, image)
            if key is None:
                return model.preprocess(read_picture(image))
            for other in [other for other in self._ready if not Path(str(other[0])).exists()]:
                del self._ready[other]  # the visitor's file was deleted
            if key not in self._ready:
                self._ready[key] = _prepare(model, image)
                while len(self._ready) > MAX_PICTURES:
                    self._ready.popitem(last=False)
            self._ready.move_to_end(key)
            ready = self._ready[key]
        if isinstance(ready, str):
            raise ImageError(ready)
        return ready


def _identify(model: Classifier, image: Any) -> tuple[object, ...] | None:
    """What decides the result for a file: its path, content and the model; None for what is not a file."""
    try:
        status = os.stat(image) if isinstance(image, (str, os.PathLike)) else None
    except (OSError, ValueError):
        return None
    return status and (os.fspath(image), status.st_mtime_ns, status.st_size, model)


def _prepare(model: Classifier, image: Any) -> Preprocessed | str:
    try:
        return model.preprocess(read_picture(image))
    except ImageError as error:
        return str(error)
