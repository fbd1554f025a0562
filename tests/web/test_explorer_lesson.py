"""The lesson in Chromium: the tests compute every expected answer again from the Trace."""

import re

import numpy as np
import pytest
from conftest import make_trace, tiny_config
from contrast import FIND_FAINT
from test_explorer import CONFIGS as EXPLORED

import cct_viz
from cct_viz.app.words import TIMES
from cct_viz.architecture.config import numbered_labels
from cct_viz.methods.attention import rollout
from cct_viz.methods.laboratory import pool_uniformly, pool_with, sharpen
from cct_viz.web.payload import About, make_payload

SEQPOOL = ["pixels", "window", "head", "rollout", "pool", "seqpool", "contribution", "bench", "trust", "trained"]
STEPS = {
    "seqpool": SEQPOOL,
    "mean": [step for step in SEQPOOL if step != "seqpool"],
    "max": [step for step in SEQPOOL if step not in ("seqpool", "bench")],
    "class_token": [step for step in SEQPOOL if step not in ("seqpool", "bench")],
}
CONFIGS = {name: EXPLORED[name] for name in ("mean", "max", "class_token", "wide", "deep")}
CONFIGS["many"] = tiny_config(labels=numbered_labels(1000))


@pytest.fixture(scope="module")
def deer():
    return cct_viz.load("keras_cct_cifar10").trace("cct_viz/web/example_images/deer.png")


# Start of the sentence that gives the right answer after two wrong ones.
HINTS = " is right: |One right answer is |It is |It does |Set Alpha|At β|Rollout is one"


class Learner:
    """A visitor who can answer every question right or wrong, using the Trace."""

    def __init__(self, explorer, trace, *, keys=False):
        self.explorer, self.page, self.trace, self.keys = explorer, explorer.page, trace, keys
        self.card = self.page.locator(".lesson")
        self.n, self.columns = len(trace.evidence), trace.grid[1]
        order = np.argsort(-trace.logits, kind="stable")
        self.a, self.b = int(order[0]), int(order[1])
        self.evidence = trace.evidence[:, self.a] - trace.evidence[:, self.b]
        splits = trace.pool != "class_token"
        self.parts = trace.contributions[:, self.a] - trace.contributions[:, self.b] if splits else None

    def open(self):
        self.press(".tools button", "Lesson")
        return self

    @property
    def step(self):
        return self.explorer.choose()["lesson"]["step"]

    def text(self, part):
        return self.card.locator(part).inner_text()

    def settle(self):
        self.explorer.choose()

    def focused(self):
        return self.page.evaluate("document.querySelector('#explorer').shadowRoot.activeElement?.textContent")

    def tab_to(self, matches):
        """Press Tab, or else Shift+Tab, until the focused element satisfies a JavaScript test."""
        test = (
            f"(() => {{ const e = document.querySelector('#explorer').shadowRoot.activeElement; return {matches} }})()"
        )
        for key, times in (("Tab", 40), ("Shift+Tab", 120)):
            for _ in range(times):
                if self.page.evaluate(test):
                    return
                self.page.keyboard.press(key)
        raise AssertionError(f"no key leads to {matches}")

    def press(self, selector, text):
        """Press the button with exactly this text."""
        if self.keys and ".segments" in selector:  # one stop for Tab, then arrow keys
            self.tab_to(f"e?.matches('{selector}')")
            while self.focused() != text:
                self.page.keyboard.press("ArrowRight")
            self.page.keyboard.press("Enter")
        elif self.keys:
            self.tab_to(f"e?.matches('{selector}') && e.textContent === '{text}'")
            self.page.keyboard.press("Enter")
        else:
            self.page.locator(selector).filter(has_text=re.compile(f"^{re.escape(text)}$")).click()
        self.settle()

    def move_slider(self, label, value):
        if not self.keys:
            self.page.get_by_label(label).fill(str(value))
        else:
            self.tab_to(f"e?.type === 'range' && e.labels[0].textContent.includes('{label}')")
            slider = self.page.get_by_label(label)
            key = "ArrowLeft" if float(slider.input_value()) > value else "ArrowRight"
            while float(slider.input_value()) != value:
                self.page.keyboard.press(key)
        self.settle()

    def touch(self, token):
        row, column = divmod(int(token), self.columns)
        if not self.keys:
            box = self.page.locator(".photo").bounding_box()
            height, width = self.trace.pixels.shape[:2]
            y, x = self.trace.stages[-1].centres.reshape(-1, 2)[token]
            # A little inside: the photo's corners are round.
            place = np.clip(((x + 0.5) / width, (y + 0.5) / height), 0.03, 0.97).tolist()
            self.page.locator(".photo").click(position={"x": place[0] * box["width"], "y": place[1] * box["height"]})
        else:
            self.tab_to("e?.matches('.panel .grid')")
            self.settle()
            at = divmod(self.explorer.choose()["token"] or 0, self.columns)
            for name, steps in (("Down", row - at[0]), ("Right", column - at[1])):
                key = name if steps > 0 else {"Down": "Up", "Right": "Left"}[name]
                for _ in range(abs(steps)):
                    self.page.keyboard.press(f"Arrow{key}")
                    self.settle()
            assert self.explorer.choose()["token"] == token
            self.page.keyboard.press("Enter")
        self.settle()

    def answer(self, right=True):
        getattr(self, f"answer_{self.step}")(right)
        self.settle()
        return self.text(".feedback")

    def answer_most(self, values, right):
        self.touch(np.argmax(values) if right else np.argmin(values))

    def answer_pixels(self, right):
        maps = np.abs(self.trace.feature_maps[-1].reshape(self.n, -1))
        channel = int(maps.mean(axis=0).argmax())
        assert f"channel {channel + 1} " in self.text(".question")
        self.answer_most(maps[:, channel], right)

    def answer_window(self, right):
        (framed,) = self.explorer.choose()["pinned"]
        y0, x0, y1, x1 = self.trace.receptive_field.T
        wide = np.minimum(x1, x1[framed]) - np.maximum(x0, x0[framed])
        high = np.minimum(y1, y1[framed]) - np.maximum(y0, y0[framed])
        apart = np.flatnonzero((wide <= 0) | (high <= 0))
        near = next(t for t in range(self.n) if t not in apart and t != framed)
        self.touch(apart[0] if right else near)
        if not right:
            assert f"shares {wide[near]}{TIMES}{high[near]} pixels" in self.text(".feedback")

    def answer_head(self, right):
        state, first = self.explorer.choose(), self.trace.attentions.shape[-1] - self.n
        layer = self.trace.attentions[state["layer"]]
        rows = (layer.mean(axis=0) if state["head"] is None else layer[state["head"]])[first:, first:]
        self.answer_most(rows.max(axis=1), right)
        assert f" {100 * rows.max(axis=1)[self.explorer.choose()['touched']['token']]:.1f} %" in self.text(".feedback")

    def answer_rollout(self, right):
        if right:
            self.move_slider("Alpha", 0)
        self.press(".lesson .choices button", "Check")

    def answer_pool(self, right):
        pool = self.trace.pool
        if pool == "seqpool":
            labels, even = self.trace.labels, pool_uniformly(self.trace).probabilities
            offered = self.card.locator(".choices button").all_inner_texts()
            wrong = next(c for c in np.argsort(even) if labels[c] in offered)
            self.press(".lesson .choices button", labels[int(even.argmax()) if right else wrong])
        elif pool == "class_token":
            self.answer_most(self.trace.attentions[-1].mean(axis=0)[0, 1:], right)
        else:
            self.answer_most(self.parts if pool == "mean" else self.trace.readout, right)

    def answer_seqpool(self, right):
        self.answer_most(self.trace.pooling_weights, right)

    def answer_contribution(self, right):
        question = self.text(".question")
        if self.trace.pool == "class_token":
            self.answer_most(-self.evidence, right)
        elif self.trace.pool == "mean":
            self.answer_most(-self.parts, right)
        elif self.trace.pool == "max":
            assert "whose contribution does not" in question
            self.answer_most((self.evidence > 0) & (self.parts <= 0), right)
        elif "large weight" in question:
            large = float(re.search(rf"\(([\d.]+){TIMES} uniform", question)[1])
            self.answer_most((self.trace.pooling_weights * self.n >= large) & (self.parts < 0), right)
        else:
            assert "less than an even weight" in question
            self.answer_most((self.trace.pooling_weights * self.n < 1) & (self.parts > 0), right)

    def answer_bench(self, right):
        question, label = self.text(".question"), self.trace.labels[self.a]
        if right and self.trace.pool == "seqpool":
            heats = [x / 20 if x <= 20 else 2 ** (3 * (x - 20) / 40) for x in range(61)]
            answers = np.array([sharpen(self.trace, beta).probabilities for beta in heats])
            if f"{label} no longer wins" in question:
                good = answers.argmax(axis=1) != self.a
            else:
                goal, more = re.search(rf"{label} gets ([\d.]+) % or (less|more)", question).groups()
                good = (answers[:, self.a] <= float(goal) / 100) == (more == "less")
            self.move_slider("pool score", int(np.flatnonzero(good)[0 if good[0] else -1]))
        elif right:
            self.press(".brush button", "Drop")
            cells = self.page.locator(".panel .grid").first
            box = cells.bounding_box()
            for token in np.argsort(-self.parts)[:2]:
                row, column = divmod(int(token), self.columns)
                place = (column + 0.5) / self.columns, (row + 0.5) / self.trace.grid[0]
                cells.click(position={"x": place[0] * box["width"], "y": place[1] * box["height"]})
        self.press(".lesson .choices button", "Check")

    def answer_trust(self, right):
        if right:
            self.press(".rail .segments button", "Rollout")
        self.press(".lesson .choices button", "Check")

    def answer_trained(self, right):
        self.press(".lesson .choices button", "8,192" if right else "64")


def walk(learner, *, steps, wrong=0):
    """Complete the whole lesson, with `wrong` wrong answers before each right one."""
    for i, name in enumerate(steps):
        assert learner.step == name
        assert learner.text(".where").startswith(f"Lesson, step {i + 1} of {len(steps)}")
        assert learner.focused() == learner.text("h2")
        for tries in range(wrong):
            feedback = learner.answer(right=False)
            assert feedback.startswith("✗ Not yet. "), (name, feedback)
            assert learner.card.locator(".feedback.right").count() == 0
            if tries == 1:
                assert re.search(HINTS, feedback), feedback
        feedback = learner.answer()
        assert feedback.startswith("✓ Right. "), (name, feedback)
        first = 0 if wrong else i + 1
        assert learner.text(".foot .line") == f"{i + 1} of {len(steps)} right, {first} at the first try"
        learner.press(".lesson .primary", "Finish" if i == len(steps) - 1 else "Next")
    assert learner.text("h2") == f"{len(steps)} of {len(steps)} answered right"


def test_whole_lesson_with_the_mouse(open_explorer, deer):
    explorer = open_explorer(deer, picture="deer")
    learner = Learner(explorer, deer).open()
    walk(learner, steps=SEQPOOL)
    assert "10 of 10 questions right on deer, 10 at the first try." in learner.text(".text")
    assert learner.card.locator("li").all_inner_texts()[3] == "Rollout and its limits right at the first try"
    explorer.check_quiet()


def test_wrong_answers_are_explained_and_counted(open_explorer, deer):
    explorer = open_explorer(deer, picture="deer")
    learner = Learner(explorer, deer).open()
    walk(learner, steps=SEQPOOL, wrong=2)
    assert "10 of 10 questions right on deer, 0 at the first try." in learner.text(".text")
    assert learner.card.locator("li").first.inner_text() == "From pixels to tokens right after 3 tries"
    learner.press(".lesson button", "Start again")
    assert learner.explorer.choose()["lesson"] == {"step": "pixels", "answers": {}}


def test_whole_lesson_with_the_keyboard(open_explorer, deer):
    explorer = open_explorer(deer)
    walk(Learner(explorer, deer, keys=True).open(), steps=SEQPOOL)
    explorer.check_quiet()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_has_the_steps_that_apply_to_it(open_explorer, name):
    trace = make_trace(CONFIGS[name])
    explorer = open_explorer(trace)
    walk(Learner(explorer, trace).open(), steps=STEPS[trace.pool], wrong=1)
    explorer.check_quiet()


def test_texts_contain_the_numbers_of_the_picture(open_explorer, deer):
    learner = Learner(open_explorer(deer), deer).open()
    weights, label, n = deer.pooling_weights.astype(np.float64), deer.labels[learner.a], 64
    spread = lambda share: f"{np.exp(-(share * np.log(share)).sum()):.1f}"  # noqa: E731
    texts = {}
    for _ in SEQPOOL:
        texts[learner.step] = learner.text(".text")
        learner.press(".lesson .primary", "Finish" if learner.step == "trained" else "Next")
    assert f"32{TIMES}32 pixels" in texts["pixels"]
    assert f"8{TIMES}8 = 64 tokens of 128 numbers" in texts["pixels"]
    maps = rollout(deer).maps[-1].reshape(-1)
    assert f"like {spread(weights)} equal tokens of 64, at the end like {spread(maps)}." in texts["rollout"]
    assert f"from {100 * weights.min():.2f} % to {100 * weights.max():.1f} %" in texts["pool"]
    assert f"{100 * deer.probabilities[learner.a]:.1f} %" in texts["pool"]
    assert f"is {100 * weights.max():.1f} %, which is {n * weights.max():.2f}{TIMES} uniform" in texts["seqpool"]
    heavy, loud = int(weights.argmax()), int(learner.parts.argmax())
    assert f"Token row {heavy // 8 + 1}, column {heavy % 8 + 1} has the largest weight" in texts["contribution"]
    assert f"adds {learner.parts[heavy]:+.3f} logits to {label}" in texts["contribution"]
    assert f"Row {loud // 8 + 1}, column {loud % 8 + 1} adds most: {learner.parts[loud]:+.3f}" in texts["contribution"]
    left = weights.copy()
    left[np.argsort(-learner.parts)[:5]] = 0
    gone = pool_with(deer, left).probabilities[learner.a]
    assert f"to {100 * gone:.1f} %; without as many at random" in texts["trust"]
    assert f"64{TIMES}128" in texts["trained"]
    assert "408,139" in texts["trained"]


def test_hovering_is_not_an_answer(open_explorer, deer):
    """Hovering and arrow keys do not answer; clicks elsewhere do not count; the focus is never trapped."""
    explorer = open_explorer(deer)
    learner = Learner(explorer, deer).open()
    box = learner.page.locator(".photo").bounding_box()
    for part in (0.2, 0.5, 0.8):
        learner.page.mouse.move(box["x"] + part * box["width"], box["y"] + part * box["height"])
    learner.page.locator(".panel .grid").first.focus()
    learner.page.keyboard.press("ArrowRight")
    learner.settle()
    assert explorer.choose()["lesson"]["answers"] == {}
    assert learner.text(".away span") == ""

    learner.page.locator(".journey button").last.click()
    learner.settle()
    assert "gone elsewhere" in learner.text(".away")
    learner.touch(0)
    assert explorer.choose()["lesson"]["answers"] == {}
    learner.press(".away button", "Go back there")
    assert explorer.choose()["station"] == "tokens"
    assert learner.focused() == "From pixels to tokens"

    assert learner.answer().startswith("✓")
    learner.touch(0)  # an answer is final
    assert explorer.choose()["lesson"]["answers"]["pixels"]["tries"] == 1
    learner.press(".lesson .primary", "Next")
    learner.press(".lesson .foot button", "Back")
    assert learner.text(".feedback").startswith("✓")
    learner.press(".lesson .top button", "Leave")
    assert not learner.card.is_visible()
    assert learner.focused() == "Lesson"
    learner.open()
    assert (learner.step, learner.text(".foot .line")) == ("pixels", "1 of 10 right, 1 at the first try")


@pytest.mark.parametrize("size", [{"width": 1280, "height": 720}, {"width": 360, "height": 740}], ids=["desk", "phone"])
def test_a_step_opens_with_question_and_photo_in_view(open_explorer, deer, size):
    explorer = open_explorer(deer)
    page = explorer.page
    page.set_viewport_size(size)
    page.evaluate("document.querySelector('#explorer').style.marginTop = '700px'")  # as below an upload
    learner = Learner(explorer, deer).open()
    for _ in SEQPOOL:
        top, question, photo = (page.locator(name).bounding_box() for name in (".lesson", ".question", ".photo"))
        assert 0 <= top["y"] < 10
        assert photo["y"] < 0.85 * size["height"], learner.step
        if size["width"] == 360:  # only the choices and the feedback are in between
            between = page.locator(".choices").bounding_box()
            assert photo["y"] - question["y"] - question["height"] < 90 + (between["height"] if between else 0)
        learner.card.locator(".primary").click()
        learner.settle()


def test_changed_weights_apply_only_in_the_laboratory_steps(open_explorer, deer):
    explorer = open_explorer(deer)
    learner = Learner(explorer, deer).open()
    while learner.step != "contribution":
        assert learner.text(".away span") == ""
        learner.press(".lesson .primary", "Next")
    explorer.choose(pooling="mean")
    assert "not the model's" in learner.text(".away")
    learner.touch(0)
    assert explorer.choose()["lesson"]["answers"] == {}
    learner.press(".away button", "Go back there")
    assert explorer.choose()["pooling"] == "model"
    learner.press(".lesson .primary", "Next")
    assert (learner.step, explorer.choose(pooling="mean")["station"]) == ("bench", "laboratory")
    assert learner.text(".away span") == ""


def test_tap_answers_and_scrolls_to_the_feedback(open_explorer, chromium, deer):
    url = open_explorer(deer).page.url
    context = chromium.new_context(viewport={"width": 360, "height": 700}, has_touch=True, is_mobile=True, offline=True)
    page = context.new_page()
    page.goto(url + "#lesson")
    page.wait_for_selector(".lesson h2")
    cells = page.locator(".panel .grid").first
    cells.scroll_into_view_if_needed()
    cells.tap(position={"x": 5, "y": 5})
    page.wait_for_selector(".feedback:not(:empty)")
    assert page.locator(".feedback").inner_text().startswith("✗ Not yet. Row 1, column 1: ")
    top = page.locator(".feedback").bounding_box()["y"]
    assert 0 <= top < 700
    context.close()


def test_the_address_opens_the_lesson(open_explorer, deer):
    explorer = open_explorer(deer)
    page = explorer.page
    assert not page.locator(".lesson").is_visible()
    page.evaluate("location.hash = '#lesson'")
    page.wait_for_selector(".lesson h2:visible")
    page.reload()
    page.wait_for_selector(".lesson h2:visible")
    page.goto(page.url.replace("#lesson", "#picture=deer&lesson"))
    page.reload()
    page.wait_for_selector(".lesson h2:visible")


def show_another(explorer, trace, **about):
    """Mount another payload on the same host, as the app does when a picture is uploaded."""
    explorer.page.evaluate(
        """async (json) => {
             const {style, sources} = await globalThis.cctExplorer, names = [...sources.keys()];
             globalThis.entry ??= importModules([...sources].slice(0, 1 + names.indexOf('main.js')));
             (await globalThis.entry).mount(document.querySelector('#explorer'), json, style);
           }""",
        make_payload(trace, About("tiny", **about)),
    )


def test_lesson_continues_with_a_new_picture(open_explorer, deer):
    frog = cct_viz.load("keras_cct_cifar10").trace("cct_viz/web/example_images/frog.png")
    explorer = open_explorer(deer, picture="deer")
    learner = Learner(explorer, deer).open()
    for _ in range(5):
        learner.answer()
        learner.press(".lesson .primary", "Next")
    learner.answer(right=False)
    before = learner.text(".text")
    show_another(explorer, frog, picture="frog")
    learner = Learner(explorer, frog)
    assert (learner.step, explorer.choose()["station"]) == ("seqpool", "seqpool")
    assert learner.text(".where") == "Lesson, step 6 of 10 · frog"
    assert learner.text(".text") != before
    assert f"{100 * frog.pooling_weights.max():.1f} %" in learner.text(".text")
    assert learner.text(".feedback") == ""
    assert learner.text(".foot .line") == "5 of 10 right, 5 at the first try"
    assert learner.answer().startswith("✓")
    assert learner.text(".foot .line") == "6 of 10 right, 6 at the first try"
    learner.press(".lesson .foot button", "Back")
    assert learner.text(".feedback") == "You met this question on another picture."

    show_another(explorer, make_trace(CONFIGS["max"]), picture="noise")
    assert Learner(explorer, deer).step == "pool"
    learner.press(".lesson .top button", "Leave")
    show_another(explorer, deer, picture="deer")
    assert explorer.choose()["lesson"] is None


def test_step_that_the_new_model_lacks_is_replaced_by_the_first(open_explorer, deer):
    explorer = open_explorer(deer)
    learner = Learner(explorer, deer).open()
    while learner.step != "bench":
        learner.press(".lesson .primary", "Next")
    show_another(explorer, make_trace(CONFIGS["class_token"]), picture="noise")
    assert explorer.choose()["lesson"]["step"] == "pixels"
    assert learner.text(".where") == "Lesson, step 1 of 8 · noise"
    explorer.check_quiet()


def test_equal_tokens_give_no_question(open_explorer):
    trace = make_trace(tiny_config(pool="mean"))
    maps = (*trace.feature_maps[:-1], np.ones_like(trace.feature_maps[-1]))
    explorer = open_explorer(trace.__class__(**{**vars(trace), "feature_maps": maps}))
    learner = Learner(explorer, trace).open()
    assert learner.text(".question").startswith("Nothing to ask here")
    assert learner.text(".foot .line") == "0 of 8 right, 0 at the first try"


@pytest.mark.parametrize(("width", "dark"), [(360, True), (1000, False)], ids=["phone-dark", "desk-light"])
def test_every_step_fits_and_is_accessible(open_explorer, deer, width, dark):
    explorer = open_explorer(
        deer, width=width, dark=dark, picture="a_very_long_name_of_a_picture_from_a_camera_0001.png"
    )
    learner = Learner(explorer, deer).open()
    for _ in range(len(SEQPOOL)):
        assert explorer.overflow() <= 0, learner.step
        box, card = learner.card.locator(".halves").bounding_box(), learner.card.bounding_box()
        assert box["x"] + box["width"] <= card["x"] + card["width"]
        faint = [text for text in learner.page.evaluate(FIND_FAINT) if text.split(":")[0] in learner.card.inner_text()]
        assert faint == []
        learner.answer(right=False)
        learner.card.locator(".primary").click()
    assert explorer.overflow() <= 0
