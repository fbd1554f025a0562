"""Exported files open without a network, their numbers are consistent, and links restore the picture."""

import base64
import dataclasses
import io
import json
import threading
import zipfile
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from cct_viz.app.links import read_link, write_link
from cct_viz.app.tabs import take_away
from cct_viz.app.view import Shown
from cct_viz.web.pack import pack_model
from conftest import make_trace, tiny_config
from PIL import Image

import cct_viz
from cct_viz.app.models import Card
from cct_viz.cli import main
from cct_viz.images.decode import decode
from cct_viz.reports.bundle import read_bundle
from cct_viz.web.examples import EXAMPLES, name_example
from cct_viz.web.html import page_html
from cct_viz.web.site import write_site

DEER = next(path for path in EXAMPLES if path.stem == "deer")


@pytest.fixture(scope="module")
def classifier():
    return cct_viz.load("keras_cct_cifar10")


def look(classifier, picture, name="photo"):
    card = Card("keras_cct_cifar10", classifier.num_parameters, 0.8, "bundled", "abc", classifier.labels, (32, 32))
    trace = classifier.trace(picture)
    return Shown(str(picture), name, card, trace, name_example(trace.image))


@pytest.fixture(scope="module")
def files(classifier):
    return take_away.make_files(classifier, look(classifier, DEER, name="my <deer>/1"))


@pytest.mark.slow
def test_file_names_are_safe_and_the_page_is_small(files):
    assert set(files) == {
        "my_deer_1.html",
        "my_deer_1_evidence.zip",
        "my_deer_1_contribution.png",
        "my_deer_1_contribution.svg",
    }
    assert len(files["my_deer_1.html"]) < 1_000_000
    assert Image.open(io.BytesIO(files["my_deer_1_contribution.png"])).format == "PNG"
    assert files["my_deer_1_contribution.svg"].lstrip().startswith(b"<?xml")


@pytest.mark.slow
def test_archive_contributions_sum_to_the_scores(files, classifier, tmp_path):
    with zipfile.ZipFile(io.BytesIO(files["my_deer_1_evidence.zip"])) as archive:
        archive.extractall(tmp_path)
    bundle = read_bundle(tmp_path)
    np.testing.assert_allclose(bundle.logits, classifier.trace(DEER).logits, atol=1e-5)  # float32 sums of 64 parts


def test_saved_page_opens_without_a_network(chromium, files, tmp_path):
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


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder written by the command line for a static Space, with three of the examples."""
    folder = tmp_path_factory.mktemp("site") / "made"
    assert main(["site", "--space", "--out", str(folder), *map(str, EXAMPLES[:3])]) == 0
    return folder


def test_a_site_shows_every_picture(chromium, site):
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto((site / "index.html").as_uri() + f"#picture={EXAMPLES[1].stem}")
    page.wait_for_selector(f"#pictures button[aria-label='{EXAMPLES[1].stem}'][aria-pressed=true]")
    page.get_by_role("button", name=EXAMPLES[2].stem, exact=True).click()
    page.wait_for_selector(f"#pictures button[aria-label='{EXAMPLES[2].stem}'][aria-pressed=true]")
    assert page.evaluate("document.querySelector('#explorer').explorer.data.about.picture") == EXAMPLES[2].stem
    context.close()


def test_site_works_offline_after_a_visit(chromium, site):
    """The site caches its files; without the server it opens again and explains a photo."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=site))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    context = chromium.new_context()
    page, errors = context.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    address = f"http://127.0.0.1:{server.server_port}/"
    (site / "notes.html").write_text('<title>Notes</title><link rel="icon" href="icon-192.png">')
    try:
        page.goto(address)
        page.evaluate("async () => { await navigator.serviceWorker.ready }")
        page.goto(address + "notes.html")  # in the folder, but not part of the site
        assert page.title() == "Notes"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    for name in ("index.html?from=a+friend", "?from=a+friend"):
        page.goto(address + name)
        page.wait_for_selector(".explorer .panel h2")
    page.locator("input[type=file]").set_input_files(DEER)
    page.wait_for_selector(".bar .told:has-text('deer: deer')")
    assert errors == []
    context.close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Do not log requests."""


def test_site_is_installable_and_a_static_space(site):
    manifest = json.loads((site / "manifest.webmanifest").read_text())
    for icon in manifest["icons"]:
        assert "x".join(map(str, Image.open(site / icon["src"]).size)) == icon["sizes"]
    kept = (site / "service_worker.js").read_text()
    assert all(json.dumps(name) in kept for name in ("./", "manifest.webmanifest", "icon-192.png", "icon-512.png"))
    card = (site / "README.md").read_text().split("---\n")[1]
    fields = dict(line.split(": ", 1) for line in card.splitlines() if ": " in line)
    assert fields["sdk"] == "static"
    assert (site / fields["app_file"]).is_file()
    assert len(fields["short_description"]) <= 60  # the Hub refuses longer ones


def test_version_of_a_site_changes_with_its_files(classifier, tmp_path):
    """Otherwise visitors would keep an old page from the cache."""
    counts = (2, 2, 1)
    pages = [write_site([classifier], tmp_path / str(i), EXAMPLES[:count]) for i, count in enumerate(counts)]
    versions = [(page.parent / "service_worker.js").read_text().splitlines()[0] for page in pages]
    assert versions[0] == versions[1] != versions[2]
    assert not (pages[0].parent / "README.md").exists()


def test_a_site_keeps_every_picture(chromium, classifier, tmp_path):
    """Also if several files have the same name, or the default name of a visitor's photo."""
    paths = [tmp_path / name for name in ("a/cat.png", "b/cat.png", "b/cat 2.png", "b/your photo.png")]
    for path, example in zip(paths, EXAMPLES, strict=False):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(example.read_bytes())
    context = chromium.new_context(offline=True)
    page = context.new_page()
    page.goto(write_site([classifier], tmp_path / "made", paths).as_uri())
    page.locator("input[type=file]").set_input_files(DEER)
    page.wait_for_selector("#pictures button[aria-label=deer]")
    names = page.locator("#pictures button").evaluate_all("(all) => all.map((one) => one.title)")
    assert names == ["cat", "cat 2", "cat 2 2", "your photo", "deer"]
    context.close()


@pytest.mark.parametrize("name", ["README.md", "index.html"])
def test_site_overwrites_only_its_own_files(classifier, tmp_path, name):
    for _ in range(2):
        write_site([classifier], tmp_path, EXAMPLES[:1], space=True)
    (tmp_path / name).write_text("# My notes, with `python -m cct_viz site --space` in them\n")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OSError, match=f"{name} already exists and was not written by this command"):
        write_site([classifier], tmp_path, EXAMPLES[1:2], space=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    (tmp_path / "README.md").write_text("# My notes\n")
    if name == "README.md":  # a site without --space does not write this file
        write_site([classifier], tmp_path, EXAMPLES[:1])


def test_the_copied_link_names_picture_and_selection(open_explorer):
    explorer = open_explorer(make_trace(tiny_config()), picture="cat & dog")
    explorer.choose(station="pixels", token=4, b=None)
    explorer.page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    explorer.page.get_by_role("button", name="Copy link").click()
    explorer.page.wait_for_selector(".link [role=status]:has-text('token=4')")  # so the link is displayed for copying
    status = explorer.page.inner_text(".link [role=status]")
    for part in ("station=pixels", "b=mean", "picture=cat+%26+dog"):
        assert part in status


def test_link_restores_an_example(classifier):
    query = dict(part.split("=") for part in write_link(look(classifier, DEER)).split("&"))
    assert query == {"model": "keras_cct_cifar10", "example": "deer"}
    picture, model = read_link(query, ["keras_cct_cifar10"])
    np.testing.assert_array_equal(picture, decode(DEER))
    assert model == "keras_cct_cifar10"


def test_link_restores_the_input_pixels_of_a_small_upload(classifier):
    photo = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    shown = look(classifier, photo)
    query = dict(part.split("=") for part in write_link(shown).split("&"))
    picture, _ = read_link(query, ["keras_cct_cifar10"])
    np.testing.assert_array_equal(picture, shown.trace.pixels)
    np.testing.assert_array_equal(classifier.trace(picture).logits, shown.trace.logits)


def test_picture_too_large_for_a_link_has_no_link(classifier):
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
def test_invalid_link_is_ignored(query):
    assert read_link(query, ["keras_cct_cifar10"]) == (None, None)


@pytest.mark.parametrize(("kind", "side", "taken"), [("PNG", 512, True), ("PNG", 513, False), ("GIF", 32, False)])
def test_link_with_too_many_pixels_is_not_decoded(kind, side, taken):
    """5120x5120 pixels of one colour fit into a link, and every visit would decode them."""
    file = io.BytesIO()
    Image.new("1", (side, side)).save(file, kind)
    pixels = base64.urlsafe_b64encode(file.getvalue()).decode().rstrip("=")
    picture, _ = read_link({"pixels": pixels}, [])
    assert (picture is not None) == taken


def test_example_is_recognised_by_its_pixels():
    assert name_example(decode(DEER)) == "deer"
    assert name_example(255 - decode(DEER)) is None


def test_the_command_line_writes_the_page_with_the_model_inside(classifier, tmp_path):
    options = ["--model", "keras_cct_cifar10", "--method", "contribution", "--page"]
    assert main(["explain", str(DEER), "--out", str(tmp_path), *options]) == 0
    page = (tmp_path / "explorer.html").read_text()
    assert pack_model(classifier)["weights"] in page
    assert len(page) < 2_000_000


def test_a_page_without_pictures_is_refused():
    with pytest.raises(ValueError, match="at least one picture"):
        page_html({}, title="nothing")


def test_texts_are_escaped_in_the_page():
    nasty = '</script><!--SCRIPT--><b onload="x">'
    page = page_html({nasty: json.dumps({"about": nasty})}, title=nasty, facts=nasty)
    assert nasty not in page
    assert page.count("</script>") == 3
    assert nasty in unescape(page)


@pytest.mark.slow
def test_button_makes_files_or_gives_a_message(classifier, monkeypatch):
    monkeypatch.setattr(take_away, "_archive", lambda *_: b"made and read above")

    class Models:
        def get(self, name):
            return classifier

    with gr.Blocks() as page:
        view = take_away.build(gr.State(), Models())
    answer = next(f.fn for f in page.fns.values() if any(event == "click" for _, event in f.targets))
    words, update = answer(look(classifier, DEER), True)
    assert words == ""
    assert len(update["value"]) == 4
    page = next(Path(path) for path in update["value"] if path.endswith(".html"))
    assert pack_model(classifier)["weights"] in page.read_text()
    shown = look(classifier, DEER)
    huge = dataclasses.replace(shown, card=dataclasses.replace(shown.card, parameters=22_000_000))
    assert "too large" in answer(huge, True)[0]
    assert "choose it again" in answer(None, True)[0]
    assert view.draw(None)[1]["visible"] is False
