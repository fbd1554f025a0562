"""Two explorers side by side share their selections, as far as both models have them."""

import json

import gradio as gr
import pytest
from conftest import make_trace, tiny_config

import cct_viz
from cct_viz.app.models import Card
from cct_viz.app.tabs import compare
from cct_viz.app.view import Shown
from cct_viz.checkpoints import CheckpointError
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.modules import script
from cct_viz.web.payload import About, make_payload

PAGE = """<!doctype html><meta charset="utf-8"><title>pair</title><body><div id="a"></div><div id="b"></div><script>%s
loadExplorer().then(({mount, linkExplorers, style}) => {
  globalThis.pair = ['a', 'b'].map((id, i) => mount(document.getElementById(id), %s[i], style, {alone: false}));
  linkExplorers(pair);
  document.title = 'ready';
});</script>"""


class Models:
    def __init__(self):
        self.classifier = cct_viz.load("keras_cct_cifar10")

    def names(self):
        return ["keras_cct_cifar10"]

    def get(self, name):
        if name not in self.names():
            raise CheckpointError(f"no model is called {name!r}")
        return self.classifier

    def card(self, name):
        return Card(name, 1, None, "bundled", "abc", self.get(name).labels, (32, 32))

    def trace(self, name, image):
        return self.get(name).trace(image)


@pytest.fixture(scope="module")
def models():
    return Models()


@pytest.fixture(scope="module")
def shown(models):
    path = str(EXAMPLES[0])
    name = models.names()[0]
    return Shown(path, EXAMPLES[0].stem, models.card(name), models.trace(name, path))


def open_pair(chromium, tmp_path, one, two):
    payloads = [json.loads(make_payload(trace, About("tiny"))) for trace in (one, two)]
    path = tmp_path / "pair.html"
    path.write_text(PAGE % (script(), json.dumps(payloads).replace("<", "\\u003c")))
    page = chromium.new_page()
    page.goto(path.as_uri())
    page.wait_for_function("document.title === 'ready'")
    return page


def change(page, side, **patch):
    """Set the state of one side; return the states of both once both have drawn it, which takes a frame each."""
    return page.evaluate(
        """([side, patch]) => new Promise((done) => {
             const wait = (frames) => requestAnimationFrame(() =>
               frames ? wait(frames - 1) : done(pair.map(({store}) => ({...store.state}))));
             pair[side].store.set(patch);
             wait(4);
           })""",
        [side, patch],
    )


def test_selection_is_shared_both_ways(chromium, tmp_path):
    page = open_pair(chromium, tmp_path, make_trace(tiny_config()), make_trace(tiny_config(), seed=1))
    left, right = change(page, 0, token=7, station="attention", alpha=0.9, a=2, b=1)
    assert [right[name] for name in ("token", "station", "alpha", "a", "b")] == [7, "attention", 0.9, 2, 1]
    left, right = change(page, 1, token=3, layer=0)
    assert (left["token"], left["layer"]) == (3, 0)
    assert page.evaluate("pair.map(({host}) => host.shadowRoot.querySelectorAll('.grid .chosen').length > 0)")
    page.close()


def test_selections_that_a_model_lacks_are_not_linked(chromium, tmp_path):
    other = tiny_config(pool="class_token", num_layers=1, image_size=(56, 80), labels=("a", "b", "c", "d"))
    page = open_pair(chromium, tmp_path, make_trace(tiny_config()), make_trace(other))
    before = change(page, 1)[1]
    right = change(page, 0, token=7, overlay="weight", layer=0, a=1, station="tokens")[1]
    assert right["station"] == "tokens"
    assert (right["token"], right["overlay"], right["a"]) == (before["token"], before["overlay"], before["a"])
    page.close()


def test_pair_shows_the_chosen_model_and_picture(models, shown):
    (left_title, left), (right_title, right) = json.loads(
        compare.compare(models, shown, "keras_cct_cifar10", EXAMPLES[3].stem)
    )
    assert left_title == f"{EXAMPLES[0].stem}, keras_cct_cifar10"
    assert right_title == f"{EXAMPLES[3].stem}, keras_cct_cifar10"
    assert left["logits"] != right["logits"]
    same = json.loads(compare.compare(models, shown, "keras_cct_cifar10"))
    assert same[0][1]["logits"] == same[1][1]["logits"]


def test_button_gives_error_messages(models, shown):
    with gr.Blocks() as page:
        view = compare.build(gr.State(), models)
    answer = next(f.fn for f in page.fns.values() if any(event == "click" for _, event in f.targets))
    assert "choose it again" in answer(None, "keras_cct_cifar10", compare.SAME)[0]
    assert "no model is called" in answer(shown, "gone", compare.SAME)[0]
    words, pair = answer(shown, "keras_cct_cifar10", compare.SAME)
    assert json.loads(pair)
    assert "Both sides show the same" in words
    assert answer(shown, "keras_cct_cifar10", "cat")[0] == ""
    assert view.draw(None)[1:] == ["", ""]
