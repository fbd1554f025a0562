"""Gradio's queue, which never leaks a slot, survives disconnects, and drops closed sessions."""

from __future__ import annotations

import asyncio
import functools
import ipaddress
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from gradio.queueing import Event, Queue
from gradio.server_messages import ProcessCompletedMessage
from gradio.utils import LRUCache

from . import settings

BUSY = f"The app is busy: {settings.MAX_WAITING} others wait before you. Try again in a minute."
ARRIVED = "cct_viz.arrived"  # in the scope of a request: what to call when its call waits


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
        if not await has_place(queue, kind, _host(request)):
            return False, BUSY, "queue_full"
        answer = await push(body=body, request=request, username=username)
        request.scope.get(ARRIVED, bool)()
        take_turns(queue.event_queue_per_concurrency_id[kind].queue)
        return answer

    queue.push = push_or_say_why  # type: ignore[method-assign, assignment]


class Door:
    """Refuses calls for which no place is left before Gradio reads the request, which takes five times as long.

    Otherwise the last of 200 callers at once waits for Gradio to read 200 requests.
    """

    def __init__(self, queue: Queue, kinds: Mapping[str, str]) -> None:
        """`kinds`: name of an endpoint -> its Gradio's concurrency_id."""
        self._queue, self._kinds = queue, kinds
        self._coming: dict[object, tuple[str, str]] = {}  # kind and caller of each call that Gradio reads

    def enter(self, name: str, host: str) -> Callable[[], object] | None:
        """Let a call of the endpoint `name` from the address `host` in.

        Returns:
            What to call when it waits in the queue or has ended, also more than once; None if there is no place.
        """
        kind, caller = self._kinds.get(name, ""), caller_of(host)
        calls = count_callers(self._queue, kind)
        calls.update(other for of, other in self._coming.values() if of == kind)
        if is_full(calls, caller):
            return None
        call = object()
        self._coming[call] = kind, caller
        return functools.partial(self._coming.pop, call, None)


@functools.lru_cache(4096)
def caller_of(host: str) -> str:
    """Who calls from an address: of IPv6 the network, because a caller has as many addresses as it likes."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a socket without addresses
        return host
    return address.exploded[:19] if address.version == 6 and not address.ipv4_mapped else host


def _host(request: Any) -> str:
    return request.client.host if request.client else ""


def count_callers(queue: Queue, kind: str) -> Counter[str]:
    """How many calls of a kind wait, by caller."""
    known = queue.event_queue_per_concurrency_id.get(kind)
    return Counter(caller_of(_host(event.request)) for event in known.queue) if known else Counter()


def is_full(calls: Counter[str], caller: str) -> bool:
    """Whether one more call of `caller` finds no place, nor a caller with more calls, who would lose one."""
    return calls.total() >= settings.MAX_WAITING and max(calls.values()) <= calls[caller] + 1


def take_turns(events: list[Event]) -> None:
    """Sort waiting calls in place: the first call of each caller, then the second of each, and so on."""
    turns: Counter[str] = Counter()
    order = {}
    for event in events:
        caller = caller_of(_host(event.request))
        order[event._id] = turns[caller]
        turns[caller] += 1
    events.sort(key=lambda event: order[event._id])


async def has_place(queue: Queue, kind: str, host: str) -> bool:
    """Whether one more call may wait. If all places are taken, the caller with most calls loses its last to another."""
    calls = count_callers(queue, kind)
    if calls.total() < settings.MAX_WAITING:
        return True
    if is_full(calls, caller_of(host)):
        return False
    greedy = max(calls, key=calls.__getitem__)
    known = queue.event_queue_per_concurrency_id[kind]
    event = next(event for event in reversed(known.queue) if caller_of(_host(event.request)) == greedy)
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
