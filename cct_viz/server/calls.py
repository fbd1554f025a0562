"""Calls that fail answer with a sentence. Gradio would answer `{"error": null}` or 500, and log the caller's text."""

from __future__ import annotations

import errno
from typing import Any

import gradio as gr

from .log import LOG

UNREADABLE = (
    'The inputs are not as expected. Upload a file to /gradio_api/upload first and send {"path": the path that it '
    'answers, "meta": {"_type": "gradio.FileData"}}; /gradio_api/info lists the inputs of each endpoint.'
)
DISK_FULL = "The disk of the app is full; try again in a few minutes."
FAILED = "The app failed at this call; its log says why."


def explain_failures(page: gr.Blocks) -> None:
    """Make the calls of a page answer failures with a sentence, and fill in inputs that the caller left out."""
    preprocess, process = page.preprocess_data, page.process_api

    async def preprocess_data(block_fn: Any, inputs: list[Any], *others: Any, **options: Any) -> Any:
        missing = [getattr(block, "value", None) for block in block_fn.inputs[len(inputs) :]]
        try:
            return await preprocess(block_fn, [*inputs, *missing], *others, **options)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(UNREADABLE) from error

    async def process_api(*arguments: Any, **options: Any) -> dict[str, Any]:
        try:
            return await process(*arguments, **options)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            LOG.error("A call failed", exc_info=error)
            raise gr.Error(DISK_FULL if is_disk_full(error) else FAILED, print_exception=False) from error

    page.preprocess_data = preprocess_data  # type: ignore[method-assign]
    page.process_api = process_api  # type: ignore[method-assign]


def is_disk_full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def kinds_of_calls(page: gr.Blocks) -> dict[str, str]:
    """Name -> kind (Gradio's concurrency_id) of the functions of the page that callers may call."""
    return {
        function.api_name: function.concurrency_id
        for function in page.fns.values()
        if isinstance(function.api_name, str) and function.api_visibility != "private"
    }
