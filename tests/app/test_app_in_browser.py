"""The app in headless Chromium, started by `python app.py` with the Hub unreachable."""

import urllib.request

import numpy as np
import pytest
from conftest import tiny_config, write_random_checkpoint
from visitor import STATIONS, TOOLS, upload
from waiting import wait_until

import cct_viz
from cct_viz.architecture.presets import DEFAULT, PRESETS
from cct_viz.web.examples import EXAMPLES

DEER = next(path for path in EXAMPLES if path.stem == "deer")


def weights_fetched(visitor):
    return [url for url in visitor.requests if url.endswith(".safetensors")]


def test_own_photo_is_explained_in_the_browser(visit, app_address):
    """The weights are fetched once, and the picture does not leave the device."""
    visitor = visit(app_address)
    assert visitor.verdict.startswith("The model answers cat, ")
    before = len(visitor.requests)
    upload(visitor, DEER)
    wait_until(lambda: visitor.ask("session.shownPicture.name") == "deer")
    visitor.wait()
    logits = cct_viz.load(DEFAULT).trace(DEER).logits
    # the page's weights are rounded to float16
    np.testing.assert_allclose(visitor.ask("Array.from(session.trace.logits)"), logits, atol=0.02)
    assert [url for url in visitor.requests[before:] if not url.startswith(("blob:", "data:"))] == []
    assert len(weights_fetched(visitor)) == 1


def test_every_place_fits_on_a_small_phone(visit, app_address):
    visitor = visit(app_address, size="small phone")
    for place in (None, *STATIONS, *TOOLS):
        visitor.open(place)
        assert visitor.overflow() <= 0, place


def test_nothing_stands_in_the_way_of_anyone(visit, app_address):
    visitor = visit(app_address)
    for place in (None, "pool"):
        visitor.open(place)
        assert visitor.violations() == [], place


def test_a_blocked_hub_takes_no_room(visit, app_address):
    """Its sentence is in the menu of models only."""
    visitor = visit(app_address)
    wait_until(lambda: visitor.ask("session.hub && !session.hub.busy"))
    text = visitor.ask("session.hub.text")
    assert "keras-io/cct could not be loaded" in text
    assert not visitor.page.get_by_text("keras-io/cct could not be loaded").is_visible()


def test_a_language_is_fetched_once_and_one_that_cannot_be_had_changes_nothing(visit, app_address):
    visitor = visit(app_address)
    packs = lambda: [url for url in visitor.requests if url.endswith(".json") and "gradio_api/file=" in url]  # noqa: E731
    assert packs() == []
    visitor.page.route("**/fr.json", lambda route: route.abort())
    visitor.ask("session.chooseLanguage('de')")
    wait_until(lambda: visitor.verdict.startswith("Das Modell antwortet Katze, "))
    visitor.ask("session.chooseLanguage('fr')")
    assert "Français konnte nicht geladen werden" in visitor.page.get_by_role("alert").inner_text()
    assert visitor.verdict.startswith("Das Modell antwortet Katze, ")
    assert "lang=de" in visitor.page.url
    visitor.ask("session.chooseLanguage('en')")
    visitor.ask("session.chooseLanguage('de')")
    assert [url.rsplit("/", 1)[1] for url in packs()] == ["de.json", "fr.json"]
    visitor.errors.clear()  # the browser's line about the request that was stopped


def test_every_bundled_model_is_in_the_menu(visit, app_address):
    visitor = visit(app_address)
    bundled = {name for name, preset in PRESETS.items() if preset.folder}
    assert set(visitor.ask("session.models.map((model) => model.id)")) == bundled
    assert visitor.ask("session.models[0].id") == DEFAULT
    visitor.ask("(session.chooseModel('keras_cct_cifar10'), 0)")
    wait_until(lambda: visitor.ask("session.shownModel.id") == "keras_cct_cifar10")
    assert len(weights_fetched(visitor)) == 2


def test_strongest_patches_are_fetched_only_where_they_are_shown(visit, app_address):
    visitor = visit(app_address)
    sheets = lambda: [url for url in visitor.requests if url.endswith(".jpg")]  # noqa: E731
    assert sheets() == []
    visitor.open("convolution")
    wait_until(lambda: len(sheets()) == 1)
    folder = PRESETS[DEFAULT].folder
    assert urllib.request.urlopen(sheets()[0]).read() == (folder / "strongest_patches_2.jpg").read_bytes()


def test_weights_that_cannot_be_fetched_leave_the_page_as_it_was(visit, app_address):
    visitor = visit(app_address)
    visitor.page.route("**/*.safetensors", lambda route: route.fulfill(status=404))
    visitor.ask("(session.chooseModel('keras_cct_cifar10'), 0)")
    visitor.page.wait_for_selector("[role=alert]:has-text('The model cannot be fetched')")
    assert visitor.ask("session.shownModel.id") == DEFAULT
    assert [error for error in visitor.errors if "404" not in error] == []
    visitor.errors.clear()


def test_a_large_model_is_asked_on_the_server(visit, cache, tmp_path, monkeypatch):
    """It gets the prepared pixels and answers with the trace, which the page draws like its own."""
    from cct_viz.app import page as app_page
    from cct_viz.app.models import Models
    from cct_viz.server.janitor import make_folder
    from cct_viz.server.launch import launch

    monkeypatch.setattr(app_page, "MOST_BYTES", 100)
    folder = write_random_checkpoint(tmp_path / "large", tiny_config(num_layers=3))
    make_folder()
    models = Models([str(folder)], hub=False)
    made = app_page.build_page(models)
    _, address, _ = launch(made, host="127.0.0.1", block=False)
    try:
        visitor = visit(address)
        assert visitor.ask("session.model") is None
        pixels = np.array(visitor.ask("Array.from(session.trace.pixels)"), np.uint8).reshape(12, 20, 3)
        expected = models.trace_pixels("large", pixels)
        np.testing.assert_allclose(visitor.ask("Array.from(session.trace.logits)"), expected.logits, atol=1e-5)
        for place in (*STATIONS, *TOOLS):
            visitor.open(place)
    finally:
        made.close()


def test_a_report_has_a_tab_of_its_own_in_which_no_script_runs(visit, cache, tiny_folder, tmp_path):
    from cct_viz.app.embed import make_page
    from cct_viz.server.launch import launch

    path = tmp_path / "report.html"
    path.write_text('<!doctype html><h1>A "report" &amp; more</h1><script>document.title = parent.ran = "ran"</script>')
    made = make_page([str(tiny_folder)], hub=False, report=path)
    _, address, _ = launch(host="127.0.0.1", block=False, **made)
    try:
        visitor = visit(address)
        assert visitor.ask("session.models[0].id") == tiny_folder.name
        visitor.page.get_by_role("tab", name="Data set").click()
        heading = visitor.page.frame_locator("iframe[title='Report of a data set']").get_by_role("heading")
        heading.wait_for()
        assert heading.inner_text() == 'A "report" & more'
        assert visitor.page.evaluate("window.ran") is None
        visitor.page.get_by_role("tab", name="Explorer").click()
        visitor.open("pool")
        visitor.errors.clear()  # the browser's line about the script that did not run
    finally:
        made["page"].close()


@pytest.mark.slow
def test_the_page_is_whole_where_no_script_runs(app_address):
    text = urllib.request.urlopen(app_address).read().decode()
    assert "See how a small vision transformer recognises a picture" in text
