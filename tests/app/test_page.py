"""The page with constructed traces, its endpoints, and what a served app does not expose."""

import copy
import html
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from conftest import connect, make_trace, tiny_config
from gradio.blocks import postprocess_update_dict
from gradio_client import handle_file
from PIL import Image

from cct_viz.app import page, serve, upload, words
from cct_viz.app.models import Card, HubLine, Models
from cct_viz.app.page import EXAMPLES, build_page
from cct_viz.app.tabs import VIEWS
from cct_viz.app.view import Shown
from cct_viz.architecture.config import Preprocessing
from cct_viz.architecture.weights import expected_shapes
from cct_viz.checkpoints.given import ASSUMED_LABELS, ASSUMED_PIXELS
from cct_viz.images import decode as decoding
from cct_viz.images.decode import decode
from cct_viz.inference.classifier import Source
from cct_viz.methods import METHODS, explain
from cct_viz.server import settings
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import PRIVATE, launch
from cct_viz.web import examples

# Gradio and its client leave sockets and event loops to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parents[2]
NASTY = ("<img src=x onerror=alert(1)>", "${alert(1)}", "{{value}}")


class FakeModels:
    """A stub for Models without a model: the trace depends on the pixels only."""

    def __init__(self, config=None, *, empty=False):
        self.config = config or tiny_config()
        self.empty = empty
        self.problem = "This copy has no trained weights." if empty else ""
        self.calls = 0

    def names(self):
        return [] if self.empty else ["tiny"]

    def card(self, name):
        labels, size = self.config.labels, self.config.image_size
        return Card(name, 1234, 0.8123, "bundled", "abcdef", labels, size, (ASSUMED_LABELS,))

    def get(self, name):
        return SimpleNamespace(
            config=self.config,
            folder=Path("nowhere"),
            source=Source("bundled", name, "abcdef"),
            position_prior=None,
            metrics={},
            num_parameters=1234,
            weights={key: np.zeros(shape, np.float32) for key, shape in expected_shapes(self.config).items()},
        )

    def trace(self, name, image):
        self.calls += 1
        return make_trace(self.config, seed=int(decode(image).mean()))

    def hub_line(self):
        return HubLine("keras-io/cct could not be loaded.", can_retry=True)

    def retry(self):
        pass


CONFIGS = {
    "seqpool": tiny_config(),
    "mean": tiny_config(pool="mean"),
    "max": tiny_config(pool="max"),
    "class_token": tiny_config(pool="class_token"),
    "deep": tiny_config(num_layers=14, num_heads=6),
    "nasty": tiny_config(labels=NASTY),
}


@pytest.fixture(scope="module")
def parts():
    models = FakeModels()
    with gr.Blocks():
        shown = gr.State()
        views = [build(shown, models) for build in VIEWS.values()]
        return page.Parts(shown, upload.Upload(), gr.HTML(), gr.HTML(), gr.HTML(), gr.HTML(), views)


def shown_as(path, config=None, name="tiny"):
    """A constructed Shown."""
    return Shown(path, "picture", FakeModels().card(name), make_trace(config or tiny_config()))


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_tab_shows_every_kind_of_model(kind):
    with gr.Blocks():
        views = [build(gr.State(), FakeModels(CONFIGS[kind])) for build in VIEWS.values()]
    for shown, view in itertools.product((shown_as("a.png", CONFIGS[kind]), None), views):
        values = view.draw(shown)
        assert len(values) == len(view.outputs)
        for output, value in zip(view.outputs, values, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                value = postprocess_update_dict(output, dict(value)).get("value")
            else:
                output.postprocess(value)
            if isinstance(value, str):
                assert "NaN" not in value
                if value.startswith('{"version"'):  # the payload: JSON, which the page never reads as markup
                    continue
                assert NASTY[0] not in value.replace(json.dumps(NASTY[0]), "")


@pytest.mark.parametrize("name", NASTY)
def test_foreign_texts_are_escaped(name):
    card = Card(name, 10, None, "folder", name, (name, "b"), (32, 32))
    for markup in (words.chip(card), words.notice(name), words.hub_text(HubLine(name))):
        assert "<img" not in markup
        assert name in html.unescape(markup)


def run_show(models, parts, path, before, model="tiny"):
    changes = page._show(models, parts, path, model, before)
    assert is_skip(changes) or (changes and set(changes) <= set(parts.outputs))
    return changes


def is_skip(value):
    return isinstance(value, dict) and set(value) == {"__type__"}


def test_valid_picture_updates_every_component(parts):
    changes = run_show(FakeModels(), parts, str(EXAMPLES[0]), None)
    assert isinstance(changes[parts.shown], Shown)
    assert changes[parts.answer].count("<li>") == 3
    assert set(changes) == set(parts.outputs) - {parts.image}
    assert not any(is_skip(value) for value in changes.values())


@pytest.mark.parametrize("before_is_there", [True, False])
def test_invalid_picture_changes_only_the_notice(parts, tmp_path, before_is_there):
    (tmp_path / "<b>.png").write_text("not a picture")
    before = shown_as(str(EXAMPLES[0])) if before_is_there else None
    changes = run_show(FakeModels(), parts, str(tmp_path / "<b>.png"), before)
    shown = changes.pop(parts.shown, None)
    assert set(changes) == {parts.image, parts.problem}
    assert changes[parts.image]["value"] == (
        str(EXAMPLES[0]) if before else None
    )  # the box shows the last valid picture
    assert "are accepted" in changes[parts.problem]["value"]
    assert "<b>" not in changes[parts.problem]["value"]
    assert shown.put_back if before else shown is None


def test_notice_stays_after_the_box_is_emptied(parts):
    """Emptying the box after an invalid file is an event of its own, which must not hide the notice."""
    assert run_show(FakeModels(), parts, None, None) == {parts.weights: page._chip(FakeModels(), "tiny")}


def test_invalid_picture_after_a_deleted_one_empties_the_page_with_a_notice(parts, tmp_path):
    (tmp_path / "bad.png").write_text("not a picture")
    before = shown_as(str(tmp_path / "gone.png"))
    changes = run_show(FakeModels(), parts, str(tmp_path / "bad.png"), before)
    assert changes[parts.shown] is None  # so that the event of the emptied box keeps the notice
    assert changes[parts.image]["value"] is None
    assert "are accepted" in changes[parts.problem]["value"]
    assert (changes[parts.answer], changes[parts.seen]) == ("", "")


@pytest.mark.parametrize(("count", "named"), [(3, True), (12, True), (13, False), (100, False)])
def test_page_lists_the_classes_of_the_model(count, named):
    labels = tuple(f"<kind> {i}" for i in range(count))
    text = words.class_note(make_trace(tiny_config(labels=labels)))
    assert f"{count} classes" in text
    assert "<kind>" not in text
    assert ("&lt;kind&gt; 2" in text) == named


def trace_of_probabilities(*probabilities, labels=("ant", "bee", "cow", "dog", "elk")):
    """A trace of independent classes with these probabilities."""
    shares = np.array(probabilities, np.float32)
    config = tiny_config(output="sigmoid", labels=labels[: len(shares)])
    return replace(make_trace(config), logits=np.log(shares / (1 - shares)))


@pytest.mark.parametrize(
    ("probabilities", "answer"),
    [
        ((0.8,), "ant: yes"),
        ((0.3,), "ant: no"),
        ((0.3, 0.2), "No class reaches 50 %"),
        ((0.3, 0.9, 0.6), "bee, cow"),
        ((0.9, 0.9, 0.9, 0.9, 0.9), "ant, bee, cow and 2 more"),
    ],
)
def test_independent_classes_are_answered_one_by_one(probabilities, answer):
    trace = trace_of_probabilities(*probabilities)
    text = words.prediction(trace, 5)
    assert f"<h2>{answer}</h2>" in text
    assert ("they do not sum to 100 %" in text) == (len(probabilities) > 1)
    for share in probabilities:
        assert f"width:{100 * share:.1f}%" in text
    assert "names the nearest" not in words.class_note(trace)


def test_classes_that_compete_are_answered_with_the_best_one():
    trace = make_trace(tiny_config(labels=("ant", "bee", "cow")))
    text = words.prediction(trace, 5)
    assert f"<h2>{trace.top(1)[0][0]}</h2>" in text
    assert "sum to 100 %" not in text
    assert "names the nearest of them" in words.class_note(trace)


def test_numbered_classes_are_said_to_be_numbered():
    trace = make_trace(tiny_config())
    assert ASSUMED_LABELS in words.prediction(trace, 5, assumptions=(ASSUMED_PIXELS, ASSUMED_LABELS))
    assert "assumed" not in words.prediction(trace, 5, assumptions=(ASSUMED_PIXELS,))  # the model tab shows this one


def test_grey_models_say_that_they_see_grey():
    grey = make_trace(tiny_config(channels=1, preprocessing=Preprocessing((0.0,), (1.0,))))
    assert "in grey (luminance)" in words.seen_figure(grey)
    assert "grey" not in words.seen_figure(make_trace(tiny_config()))


def test_classes_are_listed_below_the_prediction(parts):
    changes = run_show(FakeModels(), parts, str(EXAMPLES[0]), None)
    assert all(label in changes[parts.seen] for label in tiny_config().labels)


def test_restored_picture_does_not_run_the_model_again(parts):
    models, before = FakeModels(), replace(shown_as("a.png"), put_back=True)
    changes = run_show(models, parts, "a.png", before)
    back = changes.pop(parts.shown)
    assert changes == {}
    assert (back.trace, back.put_back) == (before.trace, False)
    changes = run_show(models, parts, "a.png", back)  # uploaded again: the notice is hidden
    assert changes.pop(parts.shown).trace is before.trace
    assert changes == {parts.problem: page.HIDE}
    assert models.calls == 0


def test_another_model_uses_the_same_picture(parts):
    models, before = FakeModels(), shown_as(str(EXAMPLES[0]), name="other")
    changes = run_show(models, parts, str(EXAMPLES[0]), before)
    assert changes[parts.shown].card.name == "tiny"
    assert models.calls == 1


def test_picture_is_decoded_and_compared_once(parts, tiny_folder, tmp_path, monkeypatch):
    """No matter how many parts of the page use it."""
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "photo.png")
    models = Models([str(tiny_folder)], hub=False)
    counts = {"decoded": 0, "compared": 0}

    def count(name, function):
        def counted(*arguments):
            counts[name] += 1
            return function(*arguments)

        return counted

    examples.read_examples()  # those are read once for all visitors
    monkeypatch.setattr(decoding, "_decode_file", count("decoded", decoding._decode_file))
    monkeypatch.setattr(examples, "read_examples", count("compared", examples.read_examples))
    for path in (tmp_path / "photo.png", EXAMPLES[0]):
        counts.update(decoded=0, compared=0)
        assert parts.answer in run_show(models, parts, str(path), None, model="tiny")
        assert counts == {"decoded": 1, "compared": 1}


def test_emptied_box_empties_the_page(parts):
    changes = page._clear(FakeModels(), parts, "tiny")
    assert set(changes) == set(parts.outputs) - {parts.image}
    assert changes[parts.shown] is None
    assert (changes[parts.answer], changes[parts.seen]) == ("", "")


def test_box_emptied_by_gradio_during_an_upload_keeps_the_page(parts):
    assert is_skip(run_show(FakeModels(), parts, None, shown_as("a.png")))


def test_page_without_weights_has_a_message(parts):
    changes = run_show(FakeModels(empty=True), parts, str(EXAMPLES[0]), None, model=None)
    assert "no trained weights" in changes[parts.problem]["value"]
    build_page(FakeModels(empty=True))


def test_expired_picture_is_not_replaced_by_the_first_one():
    """Gradio falls back to a state's first value when the visitor's own is gone."""
    page = build_page(FakeModels())
    states = [block for block in page.blocks.values() if isinstance(block, gr.State)]
    assert [state.value for state in states] == [None]
    with gr.Blocks():
        names = ("Can I trust it?", "Compare", "Take it away")
        trust, compare, files = (VIEWS[name](gr.State(), FakeModels()) for name in names)
    for view, given in ((trust, (None, "rollout", "black")), (compare, (None, "tiny", "cat")), (files, (None, False))):
        (run,) = view.runs
        answer = run.fn(*given)
        assert "choose it again" in str(answer)


class Arriving(FakeModels):
    """A stub for Models whose weights arrive after the page has opened."""

    def __init__(self):
        super().__init__(empty=True)

    def hub_line(self):
        return HubLine("Asking.", busy=True)


def refresh(page, model):
    """The changes by the listener of the page's timer: the picker, and the chip, or None if it stays."""
    listener = next(f.fn for f in page.fns.values() if any(event == "tick" for _, event in f.targets))
    changes = listener(model)
    (picker,) = (value for part, value in changes.items() if isinstance(part, gr.Dropdown))
    chips = [value for value in changes.values() if isinstance(value, str) and 'class="chip' in value]
    return picker, chips[0] if chips else None


def test_timer_keeps_a_model_chosen_in_the_meantime():
    picker, chip = refresh(build_page(FakeModels()), "tiny")
    assert "value" not in picker
    assert picker["choices"]
    assert chip is None


def test_the_timer_chooses_the_first_model_that_arrives():
    models = Arriving()
    page = build_page(models)
    assert refresh(page, None)[0]["value"] is None
    models.empty = False
    picker, chip = refresh(page, None)
    assert picker["value"] == "tiny"
    assert "tiny" in chip


def run_app(*arguments, **variables):
    return subprocess.run(
        [sys.executable, "app.py", "--no-hub", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def check_one_sentence(status, out, said):
    assert status == 2
    assert said in out.err
    assert out.err.count("\n") == 1
    assert out.out == ""


@pytest.fixture
def start(monkeypatch, tmp_path, capsys):
    """start(*arguments) -> the exit status and the output of an app that cannot start, in this process."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(settings, "set_environment", lambda: None)  # of the whole process
    monkeypatch.setattr(settings, "set_memory", lambda: None)
    return lambda *arguments: (serve.main(["--no-hub", *arguments]), capsys.readouterr())


@pytest.mark.parametrize("text", ["99999", "0", "-1", "http", "1" * 5000])
def test_invalid_port_gives_one_sentence(start, text):
    check_one_sentence(*start(f"--port={text}"), "from 1 to 65535")


@pytest.mark.slow
def test_invalid_environment_variable_gives_one_sentence():
    """In a process of its own: Gradio reads the variable when it is imported."""
    done = run_app(GRADIO_SERVER_PORT="http")
    check_one_sentence(done.returncode, SimpleNamespace(out=done.stdout, err=done.stderr), "from 1 to 65535")


def test_invalid_host_gives_one_sentence(start):
    check_one_sentence(*start("--host", "no such host"), "cannot listen on no such host")


@pytest.mark.parametrize("by_variable", [False, True])
def test_busy_port_gives_one_sentence_and_no_other_port_is_used(start, monkeypatch, by_variable):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        monkeypatch.setenv("GRADIO_SERVER_PORT", port if by_variable else "")
        result = start() if by_variable else start("--port", port)
    check_one_sentence(*result, f"cannot listen on 127.0.0.1, port {port}")


def test_box_passes_only_the_path():
    with gr.Blocks():
        original = upload.Upload(label="picture")
        box = type(original)(**original.constructor_args)  # as Gradio creates it again when a listener updates it
    assert box.get_block_name() == "image"
    assert box.preprocess(None) is None
    assert box.postprocess("/tmp/photo.svg").path == "/tmp/photo.svg"
    assert box.postprocess(None) is None
    assert box.preprocess(gr.data_classes.ImageData(path="/tmp/x.png")) == "/tmp/x.png"
    with pytest.raises(gr.Error, match="PNG"):
        box.preprocess(gr.data_classes.ImageData(url="data:image/png;base64,AAAA"))


def test_there_are_ten_examples_of_32_pixels():
    assert len(EXAMPLES) == 10
    assert {decode(path).shape for path in EXAMPLES} == {(32, 32, 3)}


@pytest.fixture(scope="module")
def served():
    """A page with a stub model on a free port, without a browser."""
    models = FakeModels()
    make_folder()
    page = build_page(models)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _, address, _ = launch(page, host="127.0.0.1", port=port, block=False)
    yield models, address
    page.close()


@pytest.fixture(scope="module")
def client(served):
    return connect(served[1])


def test_the_only_public_endpoints_are_classify_and_explain(client):
    info = client.view_api(return_format="dict")
    assert set(info["named_endpoints"]) == {"/classify", "/explain"}
    assert info["unnamed_endpoints"] == {}


def test_classify_returns_the_label_of_an_image(client):
    answer = client.predict(handle_file(EXAMPLES[3]), api_name="/classify")
    expected = FakeModels().trace("tiny", EXAMPLES[3])
    assert answer["label"] == expected.top(1)[0][0]
    given = {entry["label"]: entry["confidence"] for entry in answer["confidences"]}
    assert given == pytest.approx(dict(expected.top(3)))
    assert answer["output"] == "softmax"
    assert answer["assumptions"] == [ASSUMED_LABELS]


@pytest.mark.parametrize("method", ["rollout", "contribution"])  # shares, and numbers with a sign
def test_explain_returns_a_figure_and_all_numbers(client, method):
    picture, numbers = client.predict(handle_file(EXAMPLES[3]), method, "1", api_name="/explain")
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
    numbers = json.loads(Path(numbers).read_text())
    expected = explain(FakeModels().trace("tiny", EXAMPLES[3]), method, target=1)
    np.testing.assert_allclose(numbers["maps"], expected.maps, rtol=1e-6)
    assert numbers["checks"] == dict(expected.checks)
    assert numbers["target"] == tiny_config().labels[1]
    assert numbers["assumptions"] == [ASSUMED_LABELS]


@pytest.mark.parametrize(
    ("arguments", "words_said"), [(("nope", ""), "no method is called"), (("rollout", "zebra"), "zebra")]
)
def test_explain_gives_error_messages(client, arguments, words_said):
    with pytest.raises(Exception, match=words_said):
        client.predict(handle_file(EXAMPLES[3]), *arguments, api_name="/explain")


def test_explain_refuses_methods_that_run_the_model_again(client, monkeypatch):
    monkeypatch.setitem(METHODS, "again", lambda trace, *, classifier: None)
    with pytest.raises(Exception, match="again runs the model again"):
        client.predict(handle_file(EXAMPLES[3]), "again", "", api_name="/explain")


def test_invalid_upload_gives_a_message_without_paths(client, tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(Exception, match=r"notes\.png is .* are accepted") as caught:
        client.predict(handle_file(tmp_path / "notes.png"), api_name="/classify")
    assert "/tmp" not in str(caught.value)


@pytest.mark.parametrize("path", [ROOT / "app.py", ROOT / "cct_viz/web/example_images/cat.png", Path("/etc/passwd")])
def test_no_file_of_the_machine_can_be_fetched(served, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served[1]}gradio_api/file={path}")
    assert caught.value.code == 403
    assert PRIVATE == ROOT


def test_the_page_names_no_other_host(served):
    text = urllib.request.urlopen(served[1]).read().decode()
    loaded = re.findall(r"""(?:src|href)=["'](?:https?:)?//([^"'/]+)""", text)
    assert all(host.startswith(("127.0.0.1", "localhost")) for host in loaded)


@pytest.mark.slow
def test_serving_loads_no_framework(tiny_classifier, tiny_folder):
    """Run the whole app in a process of its own, send one request, then list the imported modules."""
    code = f"""
import sys
sys.argv = ["app.py"]
import app
from cct_viz.app.models import Models
from cct_viz.server.janitor import make_folder
from cct_viz.server.launch import launch
from cct_viz.app.page import EXAMPLES, build_page
from gradio_client import Client, handle_file
make_folder()
made = build_page(Models([{str(tiny_folder)!r}], hub=False))
_, address, _ = launch(made, host="127.0.0.1", block=False)
client = Client(address, verbose=False, httpx_kwargs={{"timeout": None}})
answer = client.predict(handle_file(EXAMPLES[0]), api_name="/classify")
assert answer["label"] in {tiny_classifier.labels!r}, answer
loaded = {{name.split(".")[0] for name in sys.modules}}
made.close()
print("LOADED", *sorted(loaded & {{"tensorflow", "keras", "tf_keras", "torch", "jax"}}))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "LOADED\n" in done.stdout


def test_shown_trace_is_not_copied():
    shown = shown_as("a.png")
    assert copy.deepcopy(shown) is shown
