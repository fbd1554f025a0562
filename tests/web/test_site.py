"""The folder of a static site: installable, offline, and careful with what it overwrites."""

import json
import os
import re
import threading
import time
from functools import partial
from html import unescape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image
from visitor import Visitor, upload
from waiting import wait_until

import cct_viz
from cct_viz.cli import main
from cct_viz.images.decode import ImageError
from cct_viz.web.examples import EXAMPLES
from cct_viz.web.html import carry_patches, carry_weights, page_html, read_packs
from cct_viz.web.site import write_site
from cct_viz.web.site_files import site_files

MODEL = {"id": "tiny", "weights": {"base64": "AAAA"}}
DEER = next(path for path in EXAMPLES if path.stem == "deer")


@pytest.fixture(scope="module")
def classifier():
    return cct_viz.load("keras_cct_cifar10")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder written by the command line for a static Space, with three pictures."""
    folder = tmp_path_factory.mktemp("site") / "made"
    assert main(["site", "--space", "--out", str(folder), *map(str, EXAMPLES[:3])]) == 0
    return folder


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Do not log requests."""


def test_site_works_under_a_sub_path_and_offline_after_a_visit(chromium, site):
    """The site caches its files; without the server it opens again and explains a photo."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=site.parent))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/{site.name}/"
    (site / "notes.html").write_text('<title>Notes</title><link rel="icon" href="icon-192.png">')
    try:
        visitor = Visitor(chromium, address)
        visitor.page.evaluate("async () => { await navigator.serviceWorker.ready }")
        visitor.page.goto(address + "notes.html")  # in the folder, but not part of the site
        assert visitor.page.title() == "Notes"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    for name in ("index.html?from=a+friend", "?from=a+friend"):
        visitor.go(address + name)
    upload(visitor, DEER)
    wait_until(lambda: visitor.ask("session.shownPicture.kind") == "own")
    visitor.check_quiet()
    visitor.close()


def test_the_next_load_after_an_update_is_the_new_site(chromium, tmp_path):
    """In one tab, which stays open: the old version is kept offline until the new one has arrived."""

    def publish(title, seconds):
        register = "<script>navigator.serviceWorker.register('service_worker.js')</script>"
        for name, content in site_files(f"<title>{title}</title>{register}", space=False).items():
            (tmp_path / name).write_bytes(content)
            os.utime(tmp_path / name, (0, seconds))  # the server compares them, and whole ones

    now = time.time()
    publish("old", now - 20)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=tmp_path))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    page = chromium.new_context().new_page()
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.evaluate("async () => { await navigator.serviceWorker.ready }")
        kept = page.evaluate("caches.keys()")
        publish("new", now - 10)
        page.reload()
        page.evaluate(
            "navigator.serviceWorker.getRegistration().then((own) => own.update())"
        )  # Chromium waits a second
        # The states of the workers reach the page later than the workers; the new one deletes what the old one kept.
        # `wait_for_function` would not wait: to it a promise is true, whatever it resolves to.
        wait_until(lambda: kept[0] not in page.evaluate("caches.keys()"))
        page.reload()
        assert page.title() == "new"
    finally:
        page.context.close()
        server.shutdown()
        server.server_close()
        thread.join()


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


def test_a_site_keeps_every_picture(classifier, tmp_path):
    """Also if several files have the same name, or the name that another one is given."""
    paths = [tmp_path / name for name in ("a/cat.png", "b/cat.png", "b/cat 2.png")]
    for path, example in zip(paths, EXAMPLES, strict=False):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(example.read_bytes())
    page = write_site([classifier], tmp_path / "made", paths).read_text()
    carried = json.loads(page.split('id="pictures">')[1].split("</script>")[0])
    assert [picture["name"] for picture in carried] == ["cat", "cat 2", "cat 2 2"]
    assert len({picture["address"] for picture in carried}) == 3


def test_a_picture_that_no_page_shows_is_refused(classifier, tmp_path):
    (tmp_path / "scan.png").write_bytes(DEER.read_bytes()[:300])
    with pytest.raises(ImageError, match=r"scan\.png"):
        write_site([classifier], tmp_path / "made", [tmp_path / "scan.png"])
    assert not (tmp_path / "made").exists()


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


def test_the_command_line_writes_the_page_with_the_model_inside(classifier, tmp_path):
    options = ["--model", "keras_cct_cifar10", "--method", "contribution", "--page"]
    assert main(["explain", str(DEER), "--out", str(tmp_path), *options]) == 0
    page = (tmp_path / "explorer.html").read_text()
    assert carry_weights(classifier)["base64"] in page
    assert "<title>deer: CCT Explorer" in page
    sheets = sum(map(len, carry_patches(classifier)))
    assert 200_000 < sheets < 250_000
    assert len(page) < 2_120_000 + sheets  # 340 kB of it are languages


def test_the_page_without_its_weights_is_small():
    """The mark for what every visitor loads; gzip is what a server sends."""
    import zlib

    html = page_html([MODEL], [{}])
    page = re.sub(r'<script type="application/json" id="language-..">.*</script>', "", html).encode()
    assert len(page) < 400_000
    assert len(zlib.compress(page, 9)) < 225_000


def test_the_page_carries_every_other_language_and_each_is_small():
    """The packs lie in elements that the browser does not read until their language is chosen."""
    import zlib

    packs, page = read_packs(), page_html([MODEL], [{}])
    assert sorted(packs) == ["de", "es", "fr", "zh"]
    for code, pack in packs.items():
        carried = re.search(f'id="language-{code}">(.*)</script>', page).group(1)
        assert json.loads(carried) == json.loads(pack)
        assert "<" not in carried
        assert len(zlib.compress(pack.encode(), 9)) < 35_000


def test_a_page_without_model_or_picture_is_refused():
    for models, pictures in (([], [{}]), ([MODEL], [])):
        with pytest.raises(ValueError, match="at least one model and one picture"):
            page_html(models, pictures)


def test_texts_are_escaped_in_the_page():
    nasty = '</script><!--SCRIPT--><b onload="x">'
    page = page_html([{**MODEL, "id": nasty}], [{"name": nasty}], title=nasty, description=nasty)
    assert nasty not in page
    assert page.count("</script>") == 5 + len(read_packs())
    assert nasty in unescape(page)
