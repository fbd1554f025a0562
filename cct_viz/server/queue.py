"""Gradio's queue, made to outlive visitors who leave: it loses no slot, stops for nobody, and forgets the gone."""

from __future__ import annotations

import asyncio
from typing import Any

from gradio.queueing import Queue
from gradio.utils import LRUCache

from . import settings


class Mailboxes(LRUCache):
    """Session -> the messages that it has not fetched yet.

    A message to a session that is gone is dropped. In Gradio's own mapping it raises a KeyError, and where the queue
    itself was telling those who wait how long it takes, that ends the queue for everybody.
    """

    def __missing__(self, session: str) -> asyncio.Queue[Any]:
        return asyncio.Queue()

    def __delitem__(self, session: str) -> None:
        if session in self:
            super().__delitem__(session)


def tolerate_closed_sessions(queue: Queue) -> None:
    """Give a queue that nobody uses yet tolerant mailboxes, and a sentence for those whom it has no place for."""
    queue.pending_messages_per_session = Mailboxes(settings.MAX_MAILBOXES)
    push = queue.push

    async def push_or_say_busy(**call: Any) -> tuple[bool, Any, Any]:
        success, answer, state = await push(**call)
        if state == "queue_full":
            answer = f"The app is busy: {len(queue)} others wait before you. Try again in a minute."
        return success, answer, state

    queue.push = push_or_say_busy  # type: ignore[method-assign, assignment]


def drop_closed_sessions(queue: Queue) -> None:
    """Drop the book-keeping of sessions without a mailbox. To be called in the queue's own event loop."""
    for session in list(queue.pending_event_ids_session):
        if session not in queue.pending_messages_per_session:
            del queue.pending_event_ids_session[session]
