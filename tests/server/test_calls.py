"""Calls that fail: each answers with a sentence, and callers share the places of the queue."""

import asyncio
import errno
from collections import Counter
from types import SimpleNamespace

import gradio as gr
import pytest
from gradio.queueing import Event, Queue

from cct_viz.server import settings
from cct_viz.server.calls import DISK_FULL, FAILED, UNREADABLE, explain_failures, kinds_of_calls
from cct_viz.server.queue import ARRIVED, Door, Mailboxes, caller_of, limit_queue, take_turns


def make_page(function):
    with gr.Blocks() as page:
        file, text = gr.Image(type="filepath"), gr.Textbox("default")
        text.submit(function, [file, text], gr.Textbox(), api_name="work", concurrency_id="work")
        text.submit(function, [file, text], gr.Textbox(), api_visibility="private", api_name="hidden")
    explain_failures(page)
    return page


def call(page, *inputs):
    return asyncio.run(page.process_api(0, list(inputs)))["data"]


def test_inputs_that_are_left_out_get_their_defaults():
    assert call(make_page(lambda file, text: f"{file} {text}"), None) == ["None default"]


@pytest.mark.parametrize("picture", ["a plain path", 3, [], {"path": "/etc/passwd"}, {"x": 1}])
def test_unreadable_inputs_answer_with_what_is_expected(page, picture):
    with pytest.raises(gr.Error) as error:
        call(page, picture)
    assert (error.value.message, error.value.print_exception) == (UNREADABLE, False)


def test_a_failing_function_answers_with_a_sentence_and_leaves_one_line_in_the_log(caplog):
    def fail(file, text):
        raise KeyError("a bug")

    with pytest.raises(gr.Error) as error:
        call(make_page(fail), None)
    assert (error.value.message, error.value.print_exception) == (FAILED, False)
    assert "A call failed" in caplog.text


def test_a_full_disk_is_said():
    def write(file, text):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(gr.Error) as error:
        call(make_page(write), None)
    assert error.value.message == DISK_FULL


def test_a_refusal_keeps_its_message_and_is_not_printed():
    def refuse(file, text):
        raise gr.Error("not today")

    with pytest.raises(gr.Error) as error:
        call(make_page(refuse), None)
    assert (error.value.message, error.value.print_exception) == ("not today", False)


def test_private_functions_are_no_endpoints(page):
    assert kinds_of_calls(page) == {"work": "work"}


@pytest.fixture(scope="module")
def page():
    return make_page(lambda file, text: text)


class Waiting:
    """A queue whose calls wait: nothing processes them."""

    def __init__(self, page):
        self.queue = Queue(True, 8, 1, None, page)
        limit_queue(self.queue)

    def join(self, address, session="one", number=0, data=(None,), **scope):
        request = SimpleNamespace(client=SimpleNamespace(host=address), scope=scope)
        body = SimpleNamespace(fn_index=number, session_hash=session, data=list(data), event_id=None)
        return asyncio.run(self.queue.push(body=body, request=request, username=None))

    @property
    def callers(self):
        return [event.request.client.host for event in self.queue.event_queue_per_concurrency_id["work"].queue]


def test_a_call_of_an_unknown_function_is_refused(page):
    for number, data in ((999, ()), (None, ()), (0, [1] * 3)):
        accepted, message, state = Waiting(page).join("a", number=number, data=data)
        assert (accepted, state) == (False, "error")
        assert "/gradio_api/info" in message


def test_a_session_that_never_fetches_answers_is_refused(page):
    waiting = Waiting(page)
    answers = [waiting.join("a") for _ in range(settings.MAX_CALLS + 5)]
    assert [answer[0] for answer in answers] == [True] * settings.MAX_CALLS + [False] * 5
    assert "unfinished" in answers[-1][1]
    assert waiting.join("a", session="another")[0]


def test_each_kind_of_call_has_places_of_its_own(page):
    waiting = Waiting(page)
    for i in range(settings.MAX_WAITING):
        assert waiting.join("a", session=str(i))[0]
    refused, message, state = waiting.join("a", session="last")
    assert (refused, state) == (False, "queue_full")
    assert message.startswith(f"The app is busy: {settings.MAX_WAITING} others wait")
    assert waiting.join("a", session="last", number=1)[0]


def test_a_caller_with_few_calls_takes_a_place_from_one_with_many(page):
    waiting = Waiting(page)
    for i in range(settings.MAX_WAITING):
        waiting.join("greedy", session=f"greedy {i}")
    for i in range(3):
        assert waiting.join(f"visitor {i}", session=str(i))[0]
    assert Counter(waiting.callers)["greedy"] == settings.MAX_WAITING - 3
    assert waiting.callers[:4] == ["greedy", "visitor 0", "visitor 1", "visitor 2"]
    box = waiting.queue.pending_messages_per_session[f"greedy {settings.MAX_WAITING - 1}"]
    messages = [box.get_nowait() for _ in range(box.qsize())]
    assert "others wait" in messages[-1].output["error"]


def test_a_call_without_a_place_is_refused_at_the_door(page):
    """Calls that Gradio still reads count too, once: until they wait in the queue."""
    waiting = Waiting(page)
    door = Door(waiting.queue, {"work": "work", "other": "other"})
    inside = [door.enter("work", "a") for _ in range(settings.MAX_WAITING)]
    assert all(inside)
    assert door.enter("work", "a") is None
    for name, address in (("work", "b"), ("other", "a"), ("unknown", "a")):
        door.enter(name, address)()
    for i, leave in enumerate(inside):
        assert waiting.join("a", session=str(i), **{ARRIVED: leave})[0]
        leave()
    assert door.enter("work", "a") is None
    asyncio.run(waiting.queue.remove_from_queue(waiting.queue.event_queue_per_concurrency_id["work"].queue[0]._id))
    leave = door.enter("work", "a")
    assert leave
    assert door.enter("work", "a") is None
    leave()
    assert door.enter("work", "a")


def test_callers_take_turns():
    def make(address):
        function = SimpleNamespace(concurrency_id="work", connection="sse")
        return Event(None, function, SimpleNamespace(client=SimpleNamespace(host=address)), None)

    events = [make(address) for address in "aaabbc"]
    earlier = list(events)
    take_turns(events)
    assert "".join(event.request.client.host for event in events) == "abcaba"
    assert [event for event in events if event.request.client.host == "a"] == earlier[:3]


@pytest.mark.parametrize(
    ("host", "caller"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:0:1::5", "2001:0db8:0000:0001"),
        ("2001:db8:0:1:ffff::", "2001:0db8:0000:0001"),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_a_caller_is_an_address_or_a_network_of_ipv6(host, caller):
    assert caller_of(host) == caller


def test_the_fullest_mailboxes_are_emptied_first():
    boxes = Mailboxes(10)
    for name, count in (("listens", 0), ("few", 3), ("many", 20)):
        boxes[name] = asyncio.Queue()
        for _ in range(count):
            boxes[name].put_nowait("message")
    boxes.drop_unread(23)
    assert list(boxes) == ["listens", "few", "many"]
    boxes.drop_unread(22)
    assert list(boxes) == ["listens", "few"]
