"""The app in a headless Chromium, started by `python app.py` with the Hub unreachable."""

from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from cct_viz.app.words import TIMES
from contrast import FIND_FAINT
from PIL import Image
from waiting import wait_for_rest, wait_until

from cct_viz.architecture.presets import DEFAULT

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "cct_viz" / "web" / "example_images"
STATIONS = ("Pixels", "SeqPool", "Classes")
DESKTOP, PHONE = {"width": 1360, "height": 900}, {"width": 360, "height": 780}
PROMPT = "Upload a picture or choose an example"


class Visitor:
    """A browser page that records every console error and every request."""

    def __init__(self, browser, url, *, viewport=DESKTOP, dark=False, link=""):
        self.context = browser.new_context(viewport=viewport, color_scheme="dark" if dark else "light")
        self.page = self.context.new_page()
        self.page.set_default_timeout(30000)
        self.errors, self.requests, self.unanswered = [], [], set()
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self.note)
        for ending in ("requestfinished", "requestfailed"):
            self.page.on(ending, lambda request: self.unanswered.discard(request))  # it asks for a signature
        self.page.goto(url + link + ("?__theme=dark" if dark else ""))
        self.page.wait_for_selector("#prediction h2")

    def note(self, request):
        self.requests.append(request.url)
        if "/queue/" in request.url:  # Gradio requests an event and listens until all results have arrived
            self.unanswered.add(request)

    @property
    def events(self):
        return sum("/queue/join" in url for url in self.requests)

    def wait_for_answers(self, events=0):
        """Wait until the page has requested `events` events in total and has drawn every result."""

        def done():
            self.page.title()  # so that Playwright processes its pending events
            return self.events >= events and not self.unanswered

        wait_until(done)
        wait_for_rest(self.page)

    @property
    def prediction(self):
        return self.page.inner_text("#prediction h2").strip()

    def state(self):
        """What distinguishes one result from another: the class, the first picture and its numbers."""
        return (
            self.prediction,
            self.page.inner_text("#prediction ol"),
            self.page.get_attribute(".seen img", "src"),
        )

    def wait_for_another(self, state):
        wait_until(lambda: self.state() != state, why=lambda: "the page still shows the picture from before")
        return self.state()

    def upload(self, path):
        if self.page.locator("#upload button[aria-label='Remove Image']").count():
            self.page.click("#upload button[aria-label='Remove Image']")
            self.page.wait_for_selector(f".empty:has-text('{PROMPT}') >> visible=true")
        self.page.set_input_files("#upload input[type=file]", str(path))

    def open_station(self, name):
        self.page.locator("#explorer .station", has_text=name).first.click()
        self.page.wait_for_selector(f"#explorer .panel h2:has-text('{name}')")

    def overflow(self):
        return self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def check_quiet(self):
        """No console error, and no request to another machine."""
        assert self.errors == []
        hosts = {url.split("/")[2].split(":")[0] for url in self.requests if url.startswith(("http", "ws"))}
        assert hosts == {"127.0.0.1"}


@pytest.fixture
def visit(chromium, app_address):
    visitors = []

    def open_page(**options):
        visitors.append(Visitor(chromium, app_address, **options))
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        visitor.context.close()


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo with its own size and aspect ratio: the ship, enlarged in the centre of a wide frame."""
    path = tmp_path_factory.mktemp("photos") / "holiday.jpg"
    frame = Image.new("RGB", (640, 400), "white")
    with Image.open(EXAMPLES / "ship.png") as ship:
        frame.paste(ship.resize((400, 400), Image.Resampling.BICUBIC), (120, 0))
    frame.save(path, quality=95)
    return path


def test_page_opens_with_a_complete_result(visit):
    visitor = visit()
    assert visitor.prediction == "deer"
    chip = visitor.page.inner_text(".chip")
    assert DEFAULT in chip
    assert "parameters" in chip
    assert "% validation accuracy" in chip
    visitor.page.wait_for_selector("#explorer .station[aria-current]:has-text('SeqPool')")
    assert visitor.page.locator("#explorer .grid").count() == 3
    assert visitor.page.locator("#explorer .legend").count() == 4
    visitor.page.wait_for_selector(".hub:has-text('keras-io/cct could not be loaded')")
    assert visitor.page.get_by_role("button", name="Retry").is_visible()
    visitor.check_quiet()


def test_upload_is_explained_without_another_click(visit, photo):
    visitor = visit()
    before = visitor.state()
    visitor.upload(photo)
    visitor.page.wait_for_selector(".seen:has-text('of 640')")
    after = visitor.state()
    assert after != before
    top = visitor.prediction
    visitor.page.wait_for_selector(f"#explorer .bars .name:first-child:has-text('{top}')")
    visitor.page.wait_for_selector(f"#explorer .sentence:has-text('for {top}')")
    assert visitor.page.locator("#explorer .badge").first.is_visible()
    visitor.open_station("Pixels")
    assert f"came with 640{TIMES}400" in visitor.page.inner_text("#explorer .panel")
    visitor.check_quiet()


def test_example_needs_one_click(visit):
    visitor = visit()
    before = visitor.state()
    visitor.page.get_by_role("button", name="Example: ship").click()
    after = visitor.wait_for_another(before)
    visitor.page.get_by_role("button", name="Example: frog").click()
    visitor.wait_for_another(after)
    visitor.check_quiet()


def test_invalid_file_gives_a_message_and_keeps_the_result(visit, tmp_path, photo):
    visitor = visit()
    before, panel = visitor.state(), visitor.page.inner_text("#explorer .sentence")
    bad = tmp_path / "broken.png"
    bad.write_bytes((EXAMPLES / "cat.png").read_bytes()[:300])
    # Dropped on a box that already has a picture, as a newly chosen file.
    visitor.page.set_input_files("#upload input[type=file]", str(bad))
    visitor.page.wait_for_selector(".notice:has-text('broken.png')")
    assert visitor.state() == before
    assert visitor.page.inner_text("#explorer .sentence") == panel
    visitor.page.wait_for_function(
        "() => { const i = document.querySelector('#upload img'); return i && i.naturalWidth > 0 }"
    )
    visitor.page.set_input_files("#upload input[type=file]", str(photo))
    visitor.wait_for_another(before)
    visitor.page.wait_for_selector(".notice", state="detached")
    assert [error for error in visitor.errors if "400" not in error] == []


@pytest.mark.parametrize("name", ["broken.jpg", "drawing.svg"])
def test_invalid_file_on_an_empty_page_gives_a_message(visit, tmp_path, photo, name):
    visitor = visit()
    visitor.page.click("#upload button[aria-label='Remove Image']")
    visitor.page.wait_for_selector(f".empty:has-text('{PROMPT}') >> visible=true")
    check_refusal(visitor, tmp_path / name, photo)
    visitor.page.wait_for_selector("#prediction h2")


def test_svg_after_a_picture_gives_a_message(visit, tmp_path, photo):
    visitor = visit()
    before = visitor.state()
    check_refusal(visitor, tmp_path / "drawing.svg", photo, lambda: visitor.state() == before)


def test_picture_named_svg_is_restored_like_others(visit, tmp_path, photo):
    visitor = visit()
    (tmp_path / "named.svg").write_bytes(photo.read_bytes())
    before = visitor.state()
    visitor.page.set_input_files("#upload input[type=file]", str(tmp_path / "named.svg"))
    visitor.wait_for_another(before)
    visitor.page.wait_for_selector(".seen:has-text('of 640')")
    visitor.wait_for_answers()
    before = visitor.state()
    check_refusal(visitor, tmp_path / "broken.jpg", tmp_path / "named.svg", lambda: visitor.state() == before)


def test_same_picture_again_hides_the_message(visit, tmp_path, photo):
    visitor = visit()
    before = visitor.state()
    visitor.page.set_input_files("#upload input[type=file]", str(photo))
    visitor.wait_for_another(before)
    check_refusal(visitor, tmp_path / "broken.jpg", photo)


def check_refusal(visitor, bad, photo, kept=lambda: True):
    """An invalid file gives a message that stays; a valid file after it is shown."""
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
    bad.write_bytes(svg if bad.suffix == ".svg" else photo.read_bytes()[:3000])
    visitor.wait_for_answers()
    events = visitor.events
    visitor.page.set_input_files("#upload input[type=file]", str(bad))
    visitor.page.wait_for_selector(f".notice:has-text('{bad.name}')")
    visitor.wait_for_answers(events + 2)  # then the box is emptied, which is another event
    assert bad.name in visitor.page.inner_text(".notice")
    assert kept()
    visitor.page.set_input_files("#upload input[type=file]", str(photo))
    visitor.page.wait_for_selector(".seen:has-text('of 640')")
    visitor.page.wait_for_selector(".notice", state="detached")


def test_cleared_page_asks_for_a_picture(visit):
    visitor = visit()
    visitor.page.click("#upload button[aria-label='Remove Image']")
    visitor.page.wait_for_selector(f".empty:has-text('{PROMPT}') >> visible=true")
    visitor.page.wait_for_selector("#explorer .explorer", state="hidden")
    visitor.page.get_by_role("button", name="Example: ship").click()
    visitor.page.wait_for_selector("#prediction h2")
    visitor.page.wait_for_selector("#explorer .photo img")
    visitor.check_quiet()


def test_explorer_makes_no_server_request(visit):
    """Selections also stay for the next picture."""
    visitor = visit()
    visitor.page.wait_for_selector("#explorer .grid")
    visitor.page.wait_for_selector(".hub:has-text('could not be loaded')")  # then the timer stops
    visitor.wait_for_answers()
    asked = len(visitor.requests)
    box = visitor.page.locator("#explorer .grid").first.bounding_box()
    for i in range(20):
        visitor.page.mouse.move(box["x"] + box["width"] * (i + 0.5) / 20, box["y"] + 30)
    visitor.page.locator("#explorer select").first.select_option(label="frog")
    visitor.page.wait_for_selector("#explorer .sentence:has-text('for frog')")
    visitor.open_station("Classes")
    assert visitor.requests[asked:] == []
    before = visitor.state()
    visitor.page.get_by_role("button", name="Example: ship").click()
    visitor.wait_for_another(before)
    visitor.page.wait_for_selector("#explorer .bars .name:first-child:has-text('ship')")
    assert visitor.page.inner_text("#explorer .station[aria-current] b") == "Classes"
    visitor.check_quiet()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_station_fits_and_is_readable(visit, viewport, dark):
    visitor = visit(viewport=viewport, dark=dark)
    background = visitor.page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int("".join(c if c.isdigit() else " " for c in background).split()[0])
    assert (red < 60) == dark
    for station in STATIONS:
        visitor.open_station(station)
        assert visitor.overflow() <= 0
        assert visitor.page.evaluate(FIND_FAINT) == []
    visitor.check_quiet()


@pytest.mark.parametrize(("viewport", "dark"), [(DESKTOP, False), (PHONE, True)], ids=["desktop", "dark phone"])
def test_every_tab_works_fits_and_is_accessible(visit, viewport, dark):
    """Every tab's button works, axe-core finds no serious violation, and nothing is wider than the page."""
    visitor = visit(viewport=viewport, dark=dark)
    page = visitor.page
    page.locator("button[role=tab]").locator("visible=true").first.wait_for()  # they are laid out after the prediction
    for name, button, done in (
        ("Explorer", None, "#explorer .panel h2"),
        ("Can I trust it?", "Measure", "#trust .plots"),
        ("Compare", "Compare", "#pair .explorer"),
        ("Model", None, "#model-page .network"),
        ("Take it away", "Make the files", "text=_evidence"),
    ):
        tab = page.locator("button[role=tab]", has_text=name).locator("visible=true")
        if not tab.count():  # on a phone, tabs without space are in a menu
            page.locator(".overflow-menu > button").click()
            tab = page.locator(".overflow-dropdown button", has_text=name)
        tab.first.click()
        if button:
            page.get_by_role("button", name=button, exact=True).locator("visible=true").click()
        page.wait_for_selector(done)
        wait_for_rest(page)
        assert visitor.overflow() <= 0, name
        violations = Axe().run(page).response["violations"]
        serious = [(v["id"], v["nodes"][0]["target"]) for v in violations if v["impact"] in ("serious", "critical")]
        assert serious == [], name
    visitor.check_quiet()


def test_result_never_appears_with_another_picture(visit):
    """Choosing another picture cancels a running measurement; the next one uses the new picture."""
    visitor = visit()
    page = visitor.page
    page.locator("button[role=tab]", has_text="Can I trust it?").locator("visible=true").first.click()
    page.get_by_role("button", name="Measure", exact=True).click()
    page.click("#examples button[title=truck]")
    page.wait_for_selector("#prediction h2:has-text('truck')")
    page.get_by_role("button", name="Measure", exact=True).click()
    page.wait_for_selector("#trust :text('Measured on')")
    assert (
        page.inner_text("#trust p >> nth=0") == f'Measured on the picture "truck" with {DEFAULT}, for its own answer.'
    )
    visitor.check_quiet()


def test_link_opens_picture_and_selection(visit):
    visitor = visit(link="?example=ship&model=keras_cct_cifar10#station=classes&token=9&a=7&b=5")
    visitor.page.wait_for_selector("#explorer .bars .name:first-child:has-text('ship')")
    assert visitor.page.inner_text("#explorer .station[aria-current] b") == "Classes"
    assert visitor.page.inner_text("#explorer .explained button") == "horse"  # not the prediction for either picture
    visitor.check_quiet()


def test_last_of_many_pictures_is_shown(visit, tmp_path):
    """In the end the page shows the last upload."""
    visitor = visit()
    for i in range(4):
        pixels = np.full((40, 40 + i, 3), 60 * i, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"grey{i}.png")
        visitor.page.set_input_files("#upload input[type=file]", str(tmp_path / f"grey{i}.png"))
    visitor.page.wait_for_selector(".seen:has-text('of 43')")
    visitor.check_quiet()
