"""The page made of functions and hand-made traces, its endpoints, and what a served app keeps to itself."""

import copy
import dataclasses
import html
import json
import os
import re
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import gradio as gr
import numpy as np
import pytest
from conftest import make_trace, tiny_config
from gradio_client import Client, handle_file
from PIL import Image

from cct_viz.config import ConvStage
from cct_viz.explain import METHODS, describe, explain, takes
from cct_viz.images import decode
from cct_viz.serving import Card, HubLine
from cct_viz.ui import VIEWS, page, upload, view, words
from cct_viz.ui.launch import REPOSITORY, launch
from cct_viz.ui.page import EXAMPLES, build_page
from cct_viz.ui.view import Shown

# Gradio and its client leave sockets and event loops to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROOT = Path(__file__).parent.parent
NASTY = ("<img src=x onerror=alert(1)>", "${alert(1)}", "{{value}}")


class FakeModels:
    """What the page is given, without any model: the trace follows from the pixels."""

    def __init__(self, config=None, *, empty=False):
        self.config = config or tiny_config()
        self.empty = empty
        self.problem = "This copy carries no trained weights." if empty else ""
        self.calls = 0

    def names(self):
        return [] if self.empty else ["tiny"]

    def card(self, name):
        return Card(name, 1234, 0.8123, "bundled", "abcdef", self.config.labels, self.config.image_size)

    def trace(self, name, image):
        self.calls += 1
        return make_trace(self.config, seed=int(decode(image).mean()))

    def hub_line(self):
        return HubLine("keras-io/cct is away.", can_retry=True)

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
def views():
    with gr.Blocks():
        shown = gr.State()
        return {name: build(shown) for name, build in VIEWS.items()}


def defaults(made):
    return [control.value for control in made.controls]


def text_of(drawn):
    return "".join(part for part in drawn if isinstance(part, str))


def test_patches_that_only_touch_are_not_said_to_overlap(views):
    """A patch tokenizer without a ReLU: its windows do not overlap, and its negative activations are shown as such."""
    patches = ConvStage(8, 4, 4, use_bias=True, relu=False, pool_size=0)
    trace = make_trace(tiny_config(tokenizer=(patches,)))
    dark = dataclasses.replace(trace, feature_maps=(-np.arange(1, 121, dtype=np.float32).reshape(3, 5, 8),))
    made = views["Tokenizer"]
    head, _, legend, sheet, sheet_legend = made.draw(dark, 0, 1, 0.6)
    assert "only touch" in head
    assert "row 3, column 5, -120" in legend  # the strongest cell, not the least negative one
    assert "120" in sheet_legend.split("legend-bar")[0]  # the scale starts at -120
    blue = sheet["value"].reshape(-1, 3).astype(int)
    assert (blue[:, 2] - blue[:, 0]).max() > 50
    assert "overlap" in made.draw(make_trace(tiny_config()), 0, 1, 0.6)[0]


def test_heads_of_a_layer_stand_in_one_row(views):
    trace = make_trace(CONFIGS["deep"])
    made = views["Attention"]
    text = text_of(made.draw(trace, *(properties["value"] for properties in made.fit(trace, *defaults(made)))))
    assert text.count('style="--heads:6"') == 14


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("kind", CONFIGS)
def test_every_tab_shows_every_kind_of_model(views, name, kind):
    made, trace = views[name], make_trace(CONFIGS[kind])
    fitted = made.fit(trace, *defaults(made))
    assert len(fitted) == len(made.controls)
    values = [properties["value"] for properties in fitted]
    drawn = made.draw(trace, *values)
    assert len(drawn) == len(made.outputs)
    text = text_of(drawn)
    assert "nan" not in text
    assert not any(label in text for label in NASTY[:1])
    for output, value in zip(made.outputs, drawn, strict=True):
        if isinstance(output, gr.Image) and value is not None:
            assert value["value"].dtype == np.uint8
            assert value["alt_text"]
    assert re.findall("<img(?![^>]* alt=)", text) == []
    assert [properties["value"] for properties in made.fit(trace, *values)] == values  # fitting twice changes nothing


@pytest.mark.parametrize("name", VIEWS)
def test_controls_of_a_large_model_are_cut_to_a_small_one(views, name):
    made = views[name]
    large, small = make_trace(CONFIGS["deep"]), make_trace(tiny_config(num_layers=1, num_heads=1))
    values = []
    for properties in made.fit(large, *defaults(made)):
        choices = properties.get("choices")
        values.append(choices[-1][1] if choices else properties.get("maximum", properties["value"]))
    fitted = made.fit(small, *values)
    made.draw(small, *(properties["value"] for properties in fitted))


@pytest.mark.parametrize("name", VIEWS)
def test_a_tab_without_a_picture_says_what_to_do(views, name):
    drawn = views[name].draw(None, *defaults(views[name]))
    assert "Upload a picture" in text_of(drawn)


def test_seqpool_without_seqpool_says_why(views):
    made = views["SeqPool"]
    text = text_of(made.draw(make_trace(CONFIGS["class_token"]), *defaults(made)))
    assert "no sequence pooling" in text
    assert "class token" in text


def test_seqpool_shows_the_numbers_that_are_computed(views):
    made, trace = views["SeqPool"], make_trace(tiny_config())
    target = 2
    text = html.unescape(text_of(made.draw(trace, target, "Contribution", 4, 0.5)))
    parts = explain(trace, "contribution", target=target).maps[0]
    score = trace.logits[target] - trace.logits.mean()
    assert f"{words.logits(score)} logits" in text
    assert f"{(parts > 0).sum()} tokens" in text
    assert words.logits(parts[parts > 0].sum()) in text
    assert "sums to the score, error" in text
    weight = 100 * trace.pooling_weights[3]
    assert f"Token 4 (row 1, column 4): weight {weight:.3g} %" in text
    levels = [float(x) for x in re.findall(r'height="([\d.]+)"', text)]
    assert len(levels) == parts.size


def test_rollout_caption_tells_the_order_and_the_spread(views):
    made, trace = views["Attention"], make_trace(tiny_config())
    values = [properties["value"] for properties in made.fit(trace, *defaults(made))]
    text = html.unescape(text_of(made.draw(trace, *values)))
    assert describe("rollout") in text
    assert "the last layer first" in text
    assert "effective tokens" in text
    places = [text.index(f"<b>{name}</b>") for name in ("readout", "through layer 2", "through layer 1")]
    assert places == sorted(places)


def test_badges_tell_good_from_bad():
    assert "\N{CHECK MARK} sums, error 1e-7" in words.badges({"sums": 1.2e-7})
    assert "badge-bad" in words.badges({"sums": 0.5})


@pytest.mark.parametrize("name", NASTY)
def test_texts_of_others_are_escaped(name):
    card = Card(name, 10, None, "folder", name, (name, "b"), (32, 32))
    for made in (words.chip(card), words.notice(name), words.hub_text(HubLine(name))):
        assert "<img" not in made
        assert name in html.unescape(made)


def test_clicking_the_photo_picks_the_token_under_the_pointer():
    trace = make_trace(tiny_config())
    for token, (y, x) in enumerate(trace.stages[-1].centres.reshape(-1, 2)):
        if 0 <= y < 12 and 0 <= x < 20:
            assert view.pick_token(trace, (x * 20, y * 20), 400) == token


def run_show(models, views, path, before, model="tiny"):
    values = tuple(value for made in views for value in defaults(made))
    count = 6 + sum(len(made.controls) + len(made.outputs) for made in views)
    result = page._show(models, views, count, path, model, before, values)
    assert len(result) == count
    return result


def is_skip(value):
    return isinstance(value, dict) and set(value) == {"__type__"}


def test_a_good_picture_fills_every_place(views):
    result = run_show(FakeModels(), list(views.values()), str(EXAMPLES[0]), None)
    assert isinstance(result[0], Shown)
    assert len(result[4]) == 3
    assert not any(is_skip(value) for value in result[2:])


@pytest.mark.parametrize("before_is_there", [True, False])
def test_a_bad_picture_changes_nothing_but_the_notice(views, tmp_path, before_is_there):
    (tmp_path / "<b>.png").write_text("not a picture")
    before = Shown(str(EXAMPLES[0]), "tiny", make_trace(tiny_config())) if before_is_there else None
    result = run_show(FakeModels(), list(views.values()), str(tmp_path / "<b>.png"), before)
    assert result[1]["value"] == (str(EXAMPLES[0]) if before_is_there else None)  # the box shows the last good one
    assert "are accepted" in result[2]["value"]
    assert "<b>" not in result[2]["value"]
    assert all(is_skip(value) for value in [result[0], *result[3:]])


def test_the_notice_outlives_the_box_that_it_emptied(views):
    """Emptying the box after a bad file is an event of its own; what it answers must leave the notice."""
    result = run_show(FakeModels(), list(views.values()), None, None)
    assert result[3] == page._chip(FakeModels(), "tiny")
    assert all(is_skip(value) for value in [*result[:3], *result[4:]])


def test_a_bad_picture_after_one_whose_file_is_gone_empties_the_page_with_a_notice(views, tmp_path):
    (tmp_path / "bad.png").write_text("not a picture")
    before = Shown(str(tmp_path / "gone.png"), "tiny", make_trace(tiny_config()))
    result = run_show(FakeModels(), list(views.values()), str(tmp_path / "bad.png"), before)
    assert result[0] is None  # so that the emptied box leaves the notice
    assert result[1]["value"] is None
    assert "are accepted" in result[2]["value"]
    assert "Upload a picture" in result[5]


@pytest.mark.parametrize(("count", "named"), [(3, True), (12, True), (13, False), (100, False)])
def test_the_page_says_that_the_model_knows_only_its_classes(count, named):
    labels = tuple(f"<kind> {i}" for i in range(count))
    text = words.known_classes(labels)
    assert f"{count} classes" in text
    assert "<kind>" not in text
    assert ("&lt;kind&gt; 2" in text) == named


def test_the_classes_stand_below_the_prediction(views):
    result = run_show(FakeModels(), list(views.values()), str(EXAMPLES[0]), None)
    assert all(label in result[5] for label in tiny_config().labels)


@pytest.mark.parametrize(
    ("value", "text"), [(1.957, "+1.96"), (-7e-6, "\N{MINUS SIGN}0.00"), (0.0, "+0.00"), (-3.2, "\N{MINUS SIGN}3.20")]
)
def test_logits_have_two_decimals(value, text):
    assert words.logits(value) == text


def test_the_running_sum_is_well_formed(views):
    made = views["SeqPool"]
    text = text_of(made.draw(make_trace(tiny_config()), 2, "Contribution", 4, 0.5))
    for svg in re.findall("<svg.*?</svg>", text):
        assert len(ElementTree.fromstring(svg).findall("rect")) == 15


def test_a_token_is_chosen_in_both_modes_of_the_attention_tab(views):
    """A click on the photo moves the slider, so in no mode may the slider be out of sight or without effect."""
    made, trace = views["Attention"], make_trace(tiny_config())
    token = next(control for control in made.controls if control.label == "Token")
    box = token.parent
    while box is not None:
        assert box.visible
        box = box.parent
    values = [properties["value"] for properties in made.fit(trace, *defaults(made))]
    plain = made.draw(trace, *values)
    values[made.controls.index(token)] = 4
    chosen = made.draw(trace, *values)
    assert (plain[0]["value"] != chosen[0]["value"]).any()
    assert "what token 4 looks at" in chosen[2]


def test_the_picture_put_back_does_not_run_the_model_again(views):
    models, before = FakeModels(), Shown("a.png", "tiny", make_trace(tiny_config()))
    assert all(is_skip(value) for value in run_show(models, list(views.values()), "a.png", before))
    assert models.calls == 0


def test_another_model_looks_at_the_same_picture(views):
    models, before = FakeModels(), Shown(str(EXAMPLES[0]), "other", make_trace(tiny_config()))
    result = run_show(models, list(views.values()), str(EXAMPLES[0]), before)
    assert result[0].model == "tiny"
    assert models.calls == 1


def test_an_empty_box_empties_the_page_politely(views):
    result = run_show(FakeModels(), list(views.values()), None, Shown("a.png", "tiny", make_trace(tiny_config())))
    assert result[0] is None
    assert "Upload a picture" in result[5]


def test_without_weights_the_page_says_so(views):
    result = run_show(FakeModels(empty=True), list(views.values()), str(EXAMPLES[0]), None, model=None)
    assert "no trained weights" in result[2]["value"]
    build_page(FakeModels(empty=True))


class Arriving(FakeModels):
    """Weights that come after the page was opened."""

    def __init__(self):
        super().__init__(empty=True)

    def hub_line(self):
        return HubLine("Asking.", busy=True)


def refresh_of(made):
    """The listener of the page's timer."""
    return next(f.fn for f in made.fns.values() if any(event == "tick" for _, event in f.targets))


def test_the_timer_leaves_a_model_that_was_chosen_meanwhile():
    _, _, picker, chip, _ = refresh_of(build_page(FakeModels()))("tiny")
    assert "value" not in picker
    assert picker["choices"]
    assert is_skip(chip)


def test_the_timer_chooses_the_first_model_that_arrives():
    models = Arriving()
    refresh = refresh_of(build_page(models))
    assert refresh(None)[2]["value"] is None
    models.empty = False
    _, _, picker, chip, _ = refresh(None)
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
        timeout=60,
    )


def check_one_sentence(done, said):
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


@pytest.mark.parametrize("text", ["99999", "0", "-1", "http"])
def test_a_port_that_is_none_costs_one_sentence(text):
    check_one_sentence(run_app(f"--port={text}"), "from 1 to 65535")


def test_a_bad_variable_costs_one_sentence():
    check_one_sentence(run_app(GRADIO_SERVER_PORT="http"), "from 1 to 65535")


def test_a_bad_host_costs_one_sentence():
    check_one_sentence(run_app("--host", "no such host"), "cannot listen on no such host")


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_busy_port_costs_one_sentence_and_no_other_is_taken(by_variable):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        done = run_app(GRADIO_SERVER_PORT=port) if by_variable else run_app("--port", port)
    check_one_sentence(done, f"cannot listen on 127.0.0.1, port {port}")


def test_the_box_hands_over_the_path_and_nothing_else():
    with gr.Blocks():
        made = upload.Upload(label="picture")
        box = type(made)(**made.constructor_args)  # as Gradio makes it anew when a listener updates it
    assert box.get_block_name() == "image"
    assert box.preprocess(None) is None
    assert box.preprocess(gr.data_classes.ImageData(path="/tmp/x.png")) == "/tmp/x.png"
    with pytest.raises(gr.Error, match="PNG"):
        box.preprocess(gr.data_classes.ImageData(url="data:image/png;base64,AAAA"))


def test_examples_are_ten_of_the_size_they_were_made():
    assert len(EXAMPLES) == 10
    assert {decode(path).shape for path in EXAMPLES} == {(32, 32, 3)}


@pytest.fixture(scope="module")
def served():
    """A page with a hand-made model on a free port; no browser."""
    models = FakeModels()
    made = build_page(models)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _, address, _ = launch(made, host="127.0.0.1", port=port, block=False)
    yield models, address
    made.close()


@pytest.fixture(scope="module")
def client(served):
    return Client(served[1], verbose=False)


def test_the_only_public_endpoints_are_classify_and_explain(client):
    info = client.view_api(return_format="dict")
    assert set(info["named_endpoints"]) == {"/classify", "/explain"}
    assert info["unnamed_endpoints"] == {}


def test_classify_takes_one_image_and_gives_the_label(client):
    answer = client.predict(handle_file(EXAMPLES[3]), api_name="/classify")
    expected = FakeModels().trace("tiny", EXAMPLES[3])
    assert answer["label"] == expected.top(1)[0][0]
    given = {entry["label"]: entry["confidence"] for entry in answer["confidences"]}
    assert given == pytest.approx(dict(expected.top(3)))


@pytest.mark.parametrize("method", [method for method in METHODS if not takes(method, "classifier")])
def test_explain_gives_a_picture_and_every_number(client, method):
    picture, numbers = client.predict(handle_file(EXAMPLES[3]), method, "1", api_name="/explain")
    with Image.open(picture) as opened:
        assert opened.format == "PNG"
    numbers = json.loads(Path(numbers).read_text())
    expected = explain(FakeModels().trace("tiny", EXAMPLES[3]), method, target=1)
    np.testing.assert_allclose(numbers["maps"], expected.maps, rtol=1e-6)
    assert numbers["checks"] == dict(expected.checks)
    assert numbers["target"] == tiny_config().labels[1]


@pytest.mark.parametrize(
    ("arguments", "words_said"), [(("nope", ""), "no method is called"), (("rollout", "zebra"), "zebra")]
)
def test_explain_refuses_in_words(client, arguments, words_said):
    with pytest.raises(Exception, match=words_said):
        client.predict(handle_file(EXAMPLES[3]), *arguments, api_name="/explain")


def test_explain_runs_no_model_again(client, monkeypatch):
    monkeypatch.setitem(METHODS, "again", lambda trace, *, classifier: None)
    with pytest.raises(Exception, match="again runs the model again"):
        client.predict(handle_file(EXAMPLES[3]), "again", "", api_name="/explain")


def test_a_bad_upload_is_refused_in_words_without_paths(client, tmp_path):
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(Exception, match=r"notes\.png is .* are accepted") as caught:
        client.predict(handle_file(tmp_path / "notes.png"), api_name="/classify")
    assert "/tmp" not in str(caught.value)


@pytest.mark.parametrize("path", [ROOT / "app.py", ROOT / "cct_viz/ui/examples/cat.png", Path("/etc/passwd")])
def test_no_file_of_the_machine_can_be_fetched(served, path):
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{served[1]}gradio_api/file={path}")
    assert caught.value.code == 403
    assert REPOSITORY == ROOT


def test_the_page_names_no_other_host(served):
    text = urllib.request.urlopen(served[1]).read().decode()
    loaded = re.findall(r"""(?:src|href)=["'](?:https?:)?//([^"'/]+)""", text)
    assert all(host.startswith(("127.0.0.1", "localhost")) for host in loaded)


def test_serving_loads_no_framework(tiny_classifier, tiny_folder):
    """The whole app in a process of its own, one request answered, then a look at what was loaded."""
    code = f"""
import sys
sys.argv = ["app.py"]
import app
from cct_viz.serving import Models
from cct_viz.ui.launch import launch
from cct_viz.ui.page import EXAMPLES, build_page
from gradio_client import Client, handle_file
made = build_page(Models([{str(tiny_folder)!r}], hub=False))
_, address, _ = launch(made, host="127.0.0.1", block=False)
answer = Client(address, verbose=False).predict(handle_file(EXAMPLES[0]), api_name="/classify")
assert answer["label"] in {tiny_classifier.labels!r}, answer
loaded = {{name.split(".")[0] for name in sys.modules}}
made.close()
print("LOADED", *sorted(loaded & {{"tensorflow", "keras", "tf_keras", "torch", "jax"}}))
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "LOADED\n" in done.stdout


def test_a_shown_trace_is_shared_and_not_copied():
    shown = Shown("a.png", "tiny", make_trace(tiny_config()))
    assert copy.deepcopy(shown) is shown
