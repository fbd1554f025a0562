"""Gradio's queue, which never leaks a slot, survives disconnects, and drops closed sessions."""

from __future__ import annotations

import asyncio
from typing import Any

from gradio.queueing import Queue
from gradio.utils import LRUCache

from . import settings


class Mailboxes(LRUCache):
    """Session -> the messages that it has not fetched yet.

    A message to a closed session is dropped. In Gradio's own mapping it raises a KeyError, and if the queue is sending
    waiting times at that moment, the error ends the queue for everybody.
    """

    def __missing__(self, session: str) -> asyncio.Queue[Any]:
        return asyncio.Queue()

    def __delitem__(self, session: str) -> None:
        if session in self:
            super().__delitem__(session)


def tolerate_closed_sessions(queue: Queue) -> None:
    """Give an unused queue tolerant mailboxes, and a message for calls that it refuses when full."""
    queue.pending_messages_per_session = Mailboxes(settings.MAX_MAILBOXES)
    push = queue.push

    async def push_or_say_busy(**call: Any) -> tuple[bool, Any, Any]:
        success, answer, state = await push(**call)
        if state == "queue_full":
            answer = f"The app is busy: {len(queue)} others wait before you. Try again in a minute."
        return success, answer, state

    queue.push = push_or_say_busy  # type: ignore[method-assign, assignment]


def drop_closed_sessions(queue: Queue) -> None:
    """Delete the records of sessions without a mailbox. Call it in the queue's own event loop."""
    for session in list(queue.pending_event_ids_session):
        if session not in queue.pending_messages_per_session:
            del queue.pending_event_ids_session[session]
