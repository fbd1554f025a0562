"""A visitor of the page in headless Chromium: what they see and do, and what must never happen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from waiting import PATIENCE, wait_for_rest

from cct_viz.web.html import carry_patches, carry_weights, describe_gallery, describe_model, page_html

SIZES = {
    "desktop": (1440, 900),
    "projector": (1280, 720),
    "wide": (1920, 1080),
    "phone": (390, 844),
    "small phone": (360, 740),
    "phone on its side": (844, 390),
}
STATIONS = ("pixels", "convolution", "tokens", "attention", "pool", "classes")
AXE = Axe().axe_script
TOOLS = ("remove", "paint", "curves", "trust", "compare", "model", "take", "code", "glossary")


class Visitor:
    """One tab. Console errors and requests to other hosts are recorded, and `check_quiet` looks at them."""

    def __init__(self, browser, url, *, size="desktop", dark=False, still=False, script="", **options):
        """`still`: as for people who asked their system for less motion. A page from disk reaches no network."""
        width, height = SIZES[size]
        self.size = {"width": width, "height": height}
        self.context = browser.new_context(
            viewport=self.size,
            color_scheme="dark" if dark else "light",
            offline=url.startswith("file:"),
            has_touch="phone" in size,
            reduced_motion="reduce" if still else "no-preference",
            **options,
        )
        if script:
            self.context.add_init_script(script)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.go(url)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(message.text)

    def go(self, url: str) -> None:
        self.page.goto(url)
        self.wait()

    def start_again(self, url: str) -> None:
        """Come as a new visitor in the same tab, which costs half of what a new one does. For pages from disk, which
        keep nothing but these two storages."""
        self.page.evaluate("localStorage.clear(), sessionStorage.clear()")
        self.page.goto("about:blank")
        self.page.mouse.move(0, 0)
        self.page.set_viewport_size(self.size)
        self.page.emulate_media(media="screen")
        self.errors.clear()
        self.requests.clear()
        self.go(url)

    def wait(self) -> None:
        """Until a picture is explained and the page rests."""
        self.page.wait_for_selector(".cct[data-ready]")
        self.page.wait_for_function("cctExplorer.session.progress === null")
        wait_for_rest(self.page)

    def ask(self, expression: str, *arguments: Any) -> Any:
        """The value of a JavaScript expression of `session`, the page's own record of what it shows."""
        return self.page.evaluate(
            f"(given) => {{ const session = cctExplorer.session; return {expression} }}", list(arguments)
        )

    def open(self, place: str | None) -> None:
        self.ask("session.selection.open(given[0])", place)
        wait_for_rest(self.page)

    @property
    def verdict(self) -> str:
        return " ".join(self.page.locator(".verdict").first.inner_text().split())

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        return self.page.evaluate("document.documentElement.scrollWidth - innerWidth")

    def violations(self, within: str | None = None) -> list[Any]:
        """What axe-core finds of any impact but "minor": rule, element and reason; `within` is a CSS selector."""
        wait_for_rest(self.page)
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        # Its whole record, with all that is right, would take as long again to leave the browser.
        return self.page.evaluate(
            """async (within) => {
              const { violations } = await axe.run(within ?? document);
              return violations
                .filter(({ impact }) => impact !== "minor")
                .flatMap(({ id, nodes }) => nodes.map(({ target, failureSummary }) => [id, target, failureSummary]));
            }""",
            within,
        )

    def check_quiet(self) -> None:
        assert self.errors == [], self.errors
        own = ("file:", "data:", "blob:", "http://127.0.0.1:", "ws://127.0.0.1:")
        foreign = [url for url in self.requests if not url.startswith(own)]
        assert foreign == [], foreign

    def close(self) -> None:
        self.context.close()


def upload(visitor: Visitor, path: Path) -> None:
    """Choose a file with the page's own button: one click opens the dialogue."""
    with visitor.page.expect_file_chooser() as chooser:
        visitor.page.get_by_role("button", name="own photo").first.click()
    chooser.value.set_files(path)


def page_with(*classifiers, pictures=None) -> str:
    """The HTML of a page that carries these models, and the project's gallery unless other pictures are described."""
    models = [describe_model(one, carry_weights(one), carry_patches(one)) for one in classifiers]
    return page_html(models, pictures or describe_gallery())
