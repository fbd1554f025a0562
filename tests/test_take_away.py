"""What a visitor takes away: files that open with no network, numbers that add up, links that come back."""

import io
import json
import zipfile
from html import unescape
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from conftest import make_trace, tiny_config
from PIL import Image

import cct_viz
from cct_viz.bundle import read_bundle
from cct_viz.cli import main
from cct_viz.images import decode
from cct_viz.serving import Card
from cct_viz.ui import take_away
from cct_viz.ui.explorer.export import page_html
from cct_viz.ui.links import read_link, write_link
from cct_viz.ui.site import EXAMPLES, name_example
from cct_viz.ui.view import Shown

DEER = next(path for path in EXAMPLES if path.stem == "deer")


@pytest.fixture(scope="module")
def classifier():
    return cct_viz.load("keras_cct_cifar10")


def look(classifier, picture, name="photo"):
    card = Card("keras_cct_cifar10", classifier.num_parameters, 0.8, "bundled", "abc", classifier.labels, (32, 32))
    return Shown(str(picture), name, card, classifier.trace(picture))


@pytest.fixture(scope="module")
def files(classifier):
    return take_away.make_files(classifier, look(classifier, DEER, name="my <deer>/1"))


def test_names_are_safe_and_the_page_is_small(files):
    assert set(files) == {
        "my_deer_1.html",
        "my_deer_1_evidence.zip",
        "my_deer_1_contribution.png",
        "my_deer_1_contribution.svg",
    }
    assert len(files["my_deer_1.html"]) < 1_000_000
    assert Image.open(io.BytesIO(files["my_deer_1_contribution.png"])).format == "PNG"
    assert files["my_deer_1_contribution.svg"].lstrip().startswith(b"<?xml")


def test_the_archive_adds_up_to_the_scores(files, classifier, tmp_path):
    with zipfile.ZipFile(io.BytesIO(files["my_deer_1_evidence.zip"])) as archive:
        archive.extractall(tmp_path)
    bundle = read_bundle(tmp_path)
    np.testing.assert_allclose(bundle.logits, classifier.trace(DEER).logits, atol=1e-5)  # float32 sums of 64 parts


def test_the_saved_page_opens_with_the_network_cut(chromium, files, tmp_path):
    path = tmp_path / "page.html"
    path.write_bytes(files["my_deer_1.html"])
    context = chromium.new_context(offline=True)
    page, errors, requests = context.new_page(), [], []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri() + "#station=classes&token=9&a=2&b=mean&overlay=weight&layer=99&head=x")
    page.wait_for_selector(".explorer h2:has-text('Classes')")
    state = page.evaluate("document.querySelector('#explorer').explorer.store.state")
    assert {name: state[name] for name in ("token", "a", "b", "overlay", "head")} == {
        "token": 9,
        "a": 2,
        "b": None,
        "overlay": "weight",
        "head": None,
    }
    assert page.title() == "deer: my <deer>/1"
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


def test_a_site_shows_every_picture(chromium, tmp_path, capsys):
    assert main(["site", "--out", str(tmp_path / "site"), "--json", *map(str, EXAMPLES[:3])]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bytes"] == Path(told["page"]).stat().st_size
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto(Path(told["page"]).as_uri() + f"#picture={EXAMPLES[1].stem}")
    page.wait_for_selector(f"#pictures button[aria-label='{EXAMPLES[1].stem}'][aria-pressed=true]")
    page.get_by_role("button", name=EXAMPLES[2].stem, exact=True).click()
    page.wait_for_selector(f"#pictures button[aria-label='{EXAMPLES[2].stem}'][aria-pressed=true]")
    assert page.evaluate("document.querySelector('#explorer').explorer.data.about.picture") == EXAMPLES[2].stem
    context.close()


def test_the_copied_link_names_picture_and_selection(open_explorer):
    explorer = open_explorer(make_trace(tiny_config()), picture="cat & dog")
    explorer.choose(station="pixels", token=4, b=None)
    explorer.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    explorer.page.get_by_role("button", name="Copy link").click()
    explorer.page.wait_for_selector(".link [role=status]:has-text('token=4')")  # to be copied by hand
    told = explorer.page.inner_text(".link [role=status]")
    for part in ("station=pixels", "b=mean", "picture=cat+%26+dog"):
        assert part in told


def test_a_link_brings_an_example_back(classifier):
    query = dict(part.split("=") for part in write_link(look(classifier, DEER)).split("&"))
    assert query == {"model": "keras_cct_cifar10", "example": "deer"}
    picture, model = read_link(query, ["keras_cct_cifar10"])
    np.testing.assert_array_equal(picture, decode(DEER))
    assert model == "keras_cct_cifar10"


def test_a_link_brings_a_small_upload_back_as_the_model_saw_it(classifier):
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    shown = look(classifier, photo)
    query = dict(part.split("=") for part in write_link(shown).split("&"))
    picture, _ = read_link(query, ["keras_cct_cifar10"])
    np.testing.assert_array_equal(picture, shown.trace.pixels)
    np.testing.assert_array_equal(classifier.trace(picture).logits, shown.trace.logits)


def test_a_picture_too_large_for_a_link_gives_none(classifier):
    trace = make_trace(tiny_config(image_size=(96, 96)))
    shown = Shown("a.png", "a", look(classifier, DEER).card, trace)
    assert write_link(shown) == ""


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"model": "../etc"},
        {"example": "../deer"},
        {"pixels": "!"},
        {"pixels": "QUJD"},
        {"pixels": "A" * 20000},
    ],
)
def test_a_bad_link_is_as_none(query):
    assert read_link(query, ["keras_cct_cifar10"]) == (None, None)


def test_an_example_is_known_by_its_pixels():
    assert name_example(decode(DEER)) == "deer"
    assert name_example(255 - decode(DEER)) is None


def test_a_page_without_pictures_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        page_html({}, title="nothing")


def test_texts_cannot_leave_their_place():
    nasty = '</script><!--SCRIPT--><b onload="x">'
    page = page_html({nasty: json.dumps({"about": nasty})}, title=nasty, facts=nasty)
    assert nasty not in page
    assert page.count("</script>") == 2
    assert nasty in unescape(page)


def test_the_button_makes_files_or_says_why_not(classifier, tmp_path):
    class Models:
        def get(self, name):
            return classifier

    with gr.Blocks() as page:
        view = take_away.build(gr.State(), Models())
    answer = next(f.fn for f in page.fns.values() if any(event == "click" for _, event in f.targets))
    words, update = answer(look(classifier, DEER))
    assert words == ""
    assert len(update["value"]) == 4
    assert "Upload a picture" in answer(None)[0]
    assert view.draw(None)[1]["visible"] is False
