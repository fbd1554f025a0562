"""Gradio's queue, which never leaks a slot, survives disconnects, and drops closed sessions."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from typing import Any

from gradio.queueing import Event, Queue
from gradio.server_messages import ProcessCompletedMessage
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

    def drop_unread(self, most: int) -> None:
        """Delete the fullest mailboxes until all hold at most `most` messages. A session that fetches its messages has
        an empty one."""
        counts = {session: messages.qsize() for session, messages in self.items()}
        while sum(counts.values()) > most:
            fullest = max(counts, key=counts.__getitem__)
            del self[fullest], counts[fullest]


def limit_queue(queue: Queue) -> None:
    """Give an unused queue tolerant mailboxes, places for each kind of call, and turns for its callers."""
    queue.pending_messages_per_session = boxes = Mailboxes(settings.MAX_MAILBOXES)
    push = queue.push

    async def push_or_say_why(*, body: Any, request: Any, username: Any) -> tuple[bool, Any, Any]:
        boxes.drop_unread(settings.MAX_UNREAD)
        function = queue.blocks.fns.get(body.fn_index)
        if function is None or len(body.data) > len(function.inputs):
            return False, f"No function has the number {body.fn_index} and these inputs; see /gradio_api/info.", "error"
        if len(queue.pending_event_ids_session.get(body.session_hash, ())) >= settings.MAX_CALLS:
            return (
                False,
                f"{settings.MAX_CALLS} calls of this session are unfinished; fetch their answers.",
                "queue_full",
            )
        kind = function.concurrency_id
        if not await has_place(queue, kind, request):
            waiting = len(queue.event_queue_per_concurrency_id[kind].queue)
            return False, f"The app is busy: {waiting} others wait before you. Try again in a minute.", "queue_full"
        answer = await push(body=body, request=request, username=username)
        take_turns(queue.event_queue_per_concurrency_id[kind].queue)
        return answer

    queue.push = push_or_say_why  # type: ignore[method-assign, assignment]


def caller_of(request: Any) -> str:
    """The address that a call comes from; of IPv6 the network, because a caller has as many addresses as it likes."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a socket without addresses
        return host
    return address.exploded[:19] if address.version == 6 and not address.ipv4_mapped else host


def take_turns(events: list[Event]) -> None:
    """Sort waiting calls in place: the first call of each caller, then the second of each, and so on."""
    turns: Counter[str] = Counter()
    order = {}
    for event in events:
        caller = caller_of(event.request)
        order[event._id] = turns[caller]
        turns[caller] += 1
    events.sort(key=lambda event: order[event._id])


async def has_place(queue: Queue, kind: str, request: Any) -> bool:
    """Whether one more call may wait. If all places are taken, the caller with most calls loses its last to another."""
    known = queue.event_queue_per_concurrency_id.get(kind)
    if known is None or len(known.queue) < settings.MAX_WAITING:
        return True
    calls = Counter(caller_of(event.request) for event in known.queue)
    (greedy, most), *_ = calls.most_common(1)
    if most <= calls[caller_of(request)] + 1:
        return False
    event = next(event for event in reversed(known.queue) if caller_of(event.request) == greedy)
    refusal = {
        "error": "The app is busy, and others wait who have fewer calls. Try again in a minute.",
        "visible": True,
    }
    queue.send_message(event, ProcessCompletedMessage(output=refusal, success=False))
    await queue.remove_from_queue(event._id)
    return True


def count_calls(queue: Queue) -> int:
    """How many calls wait or run."""
    return len(queue) + queue.get_active_worker_count()


def drop_closed_sessions(queue: Queue) -> None:
    """Delete the records of sessions without a mailbox. Call it in the queue's own event loop."""
    for session in list(queue.pending_event_ids_session):
        if session not in queue.pending_messages_per_session:
            del queue.pending_event_ids_session[session]
