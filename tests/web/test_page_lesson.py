"""The tour, the lesson and the maps on trial in the built page: keys, touch, address, print. Needs Chromium."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect
from visitor import page_with

import cct_viz

MODELS = ("cct_2_3x2_32_cifar10", "cct_2_3x2_class_token_seed0")
STEPS = {
    ("tour", MODELS[0]): 6,
    ("lesson", MODELS[0]): 15,
    ("trust", MODELS[0]): 6,
    ("lesson", MODELS[1]): 13,
    ("trust", MODELS[1]): 4,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "site.html"
    path.write_text(page_with(*map(cct_viz.load, MODELS)))
    return path


class Learner:
    """A visitor who takes a course with keys alone, or with touch alone."""

    def __init__(self, visitor, touch):
        self.visitor, self.page, self.touch = visitor, visitor.page, touch
        self.card = self.page.get_by_role("dialog")

    def expect_step(self, index, count):
        expect(self.card.locator(".head b")).to_have_text(re.compile(f"step {index + 1} of {count}$"))
        expect(self.card.locator("h2")).to_be_focused()

    def press(self, locator):
        if self.touch:
            locator.tap()
        else:
            locator.focus()
            self.page.keyboard.press("Enter")

    def try_once(self, number):
        """One try: the option, token or slider value of this number."""
        check = self.card.get_by_role("button", name="Check")
        photo = self.card.get_by_role("application")
        if self.card.locator(".option").count():
            if photo.count():  # patches are marked first
                self.choose_patch(photo, number)
            self.press(self.card.locator(".option").nth(number))
        elif photo.count():
            self.choose_patch(photo, number)
            self.press(check)
        else:
            self.card.get_by_role("slider").fill(str(0 if number else 1))
            self.press(check)

    def choose_patch(self, photo, number):
        if self.touch:
            box = photo.bounding_box()
            photo.tap(position={"x": box["width"] * (0.1 + 0.3 * number), "y": box["height"] / 2})
        else:
            photo.focus()
            self.page.keyboard.press("ArrowRight")
            self.page.keyboard.press("Space")  # marks where marks are asked for

    def answer(self):
        """Try until the way on is there. @returns whether the answer was right"""
        onward = self.card.locator(".next")
        for number in range(2):
            self.try_once(number)
            expect(self.card.locator("[role=status]")).not_to_be_empty()
            if onward.count():
                break
        expect(onward).to_be_focused()
        return self.card.locator("[role=status]").inner_text().startswith("Right.")


@pytest.fixture
def learn(visit, site):
    def open_course(hash="", *, size="desktop", dark=False, touch=False):
        return Learner(visit(f"{site.as_uri()}#{hash}", size=size, dark=dark, still=True), touch)

    return open_course


@pytest.mark.parametrize(
    ("course", "model", "touch"),
    [*((*key, False) for key in STEPS), *((course, MODELS[0], True) for course in ("tour", "lesson"))],
)
def test_a_whole_course_is_answered_and_counted(learn, course, model, touch):
    size = "phone" if touch else "projector"
    learner = learn(f"model={model}&course={course}&step=0", size=size, touch=touch)
    count, right = STEPS[course, model], 0
    for index in range(count):
        learner.expect_step(index, count)
        right += learner.answer()
        learner.press(learner.card.locator(".next"))
    expect(learner.card.locator("h2")).to_have_text(f"{right} of {count} right")
    assert 3 <= learner.card.locator("ol li").count() <= 5


def test_tour_opens_from_its_button_and_leaves_with_escape(learn):
    learner = learn()
    button = learner.page.get_by_role("button", name="Take the 5-minute tour")
    learner.press(button)
    learner.expect_step(0, 6)
    assert learner.page.evaluate("location.hash") == "#step=0"
    learner.page.keyboard.press("Escape")
    expect(learner.card).to_be_hidden()
    expect(button).to_be_focused()
    assert "step" not in learner.page.evaluate("location.hash")


def test_address_dots_and_history_lead_to_steps(learn):
    learner = learn("step=3")
    learner.expect_step(3, 6)
    learner.press(learner.card.locator(".dots button").nth(1))
    learner.expect_step(1, 6)
    learner.page.go_back()
    learner.expect_step(3, 6)
    learner.press(learner.card.get_by_role("button", name="Back", exact=True))
    learner.expect_step(2, 6)


def test_path_feet_and_equation_wait_for_the_answer(learn):
    learner = learn("step=3")
    equation = learner.page.get_by_role("group", name="The answer in numbers")
    feet = learner.page.locator(".hero .feet")
    expect(equation).to_be_hidden()
    expect(feet).to_have_css("opacity", "0")
    learner.answer()
    expect(equation).to_be_visible()
    expect(feet).to_have_css("opacity", "1")


def test_the_tour_ends_with_a_wrong_answer_and_its_map(learn):
    learner = learn("step=5")
    learner.answer()
    example = learner.card.locator(".example")
    canvas = example.locator("canvas")
    expect(canvas).to_be_visible()
    wrong = "session.pictures.filter(({id}) => ['other', 'wrong'].includes(session.marks[id]?.verdict))"
    surest = f"{wrong}.sort((a, b) => session.marks[b.id].probability - session.marks[a.id].probability)[0]"
    name, label = learner.visitor.ask(f"[{surest}.name, session.marks[{surest}.id].label]")
    expect(example).to_contain_text(f"{name}, gets {label}")
    strongest = learner.visitor.ask(
        f"""session.compare({surest}, session.shownModel).then(({{ contributions, logits, labels }}) => {{
          const k = labels.length, best = logits.indexOf(Math.max(...logits));
          const mean = (t) => contributions.subarray(t * k, t * k + k).reduce((a, b) => a + b) / k;
          const tokens = Array.from({{ length: contributions.length / k }}, (_, t) => t);
          const own = tokens.map((t) => contributions[t * k + best] - mean(t));
          return own.indexOf(Math.max(...own));
        }})"""
    )
    red = """(canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const excess = Array.from({ length: data.length / 4 }, (_, i) => data[4 * i] - data[4 * i + 2]);
      return excess.indexOf(Math.max(...excess));
    }"""
    assert canvas.evaluate(red) == strongest


@pytest.mark.parametrize(("size", "touch"), [("desktop", False), ("phone", True)])
def test_the_patches_of_the_thing_are_marked_and_what_they_add_is_summed(learn, size, touch):
    learner = learn("course=trust&step=2", size=size, touch=touch)
    photo, options = learner.card.get_by_role("application"), learner.card.locator(".option")
    expect(options.nth(2)).to_be_disabled()
    expect(learner.card).to_contain_text("Mark patches on the photo first.")
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    at = lambda row, column: (box["x"] + (column + 0.5) * box["width"] / 8, box["y"] + (row + 0.5) * box["height"] / 8)  # noqa: E731
    mouse, marked = learner.page.mouse, {18, 19, 20, 21}
    if touch:
        for token in sorted(marked):
            learner.page.touchscreen.tap(*at(*divmod(token, 8)))
    else:
        mouse.move(*at(2, 2))
        mouse.down()
        mouse.move(*at(2, 5))  # a quick stroke, without gaps
        mouse.up()
        mouse.click(*at(2, 5))  # and one patch off it again, and on with the key
        expect(learner.card).to_contain_text("3 of 64 patches marked")
        photo.focus()
        learner.page.keyboard.press("Space")
    expect(learner.card).to_contain_text("4 of 64 patches marked")
    learner.press(options.nth(0))
    expect(learner.card.locator("[role=status]")).not_to_be_empty()
    if not learner.card.locator(".next").count():
        learner.press(options.nth(1))
    expect(learner.card.locator(".next")).to_be_focused()
    trace, covered = learner.visitor.ask(
        """Promise.all(given[0].map((tokens) => {
          const { pixels } = session.trace, made = pixels.slice();
          const mean = [0, 1, 2].map((c) => pixels.filter((_, i) => i % 3 === c).reduce((a, b) => a + b) / 1024);
          for (let i = 0; i < 1024; i++) {
            const token = 8 * Math.floor(i / 128) + Math.floor((i % 32) / 4);
            if (tokens.includes(token)) made.set(mean.map(Math.round), 3 * i);
          }
          return session.answers([null], {}, made).then(([logits]) => [...logits]);
        })).then((covered) => [
          { values: [...session.trace.contributions], logits: [...session.trace.logits], labels: session.trace.labels },
          covered,
        ])""",
        [sorted(marked), sorted(set(range(64)) - marked), list(range(64))],
    )
    share = lambda logits: np.exp(logits)[best] / np.exp(logits).sum()  # noqa: E731
    best = int(np.argmax(trace["logits"]))
    label = trace["labels"][best]
    own, without, alone, blank = (f"{100 * share(np.asarray(one)):.1f} %" for one in (trace["logits"], *covered))
    values = np.reshape(trace["values"], (64, 10))[:, best]
    part = f"{100 * values[sorted(marked)].sum() / values.sum():.1f} %"
    said = learner.card.locator("[role=status]")
    expect(said).to_contain_text(f"(6.3 % of the picture), the probability of {label} goes from {own} to {without}")
    expect(said).to_contain_text(f"of the marked patches are {part} of all contributions to {label}")
    for words in (f"yours covered: {without}", f"only yours: {alone}", f"all covered: {blank}"):
        expect(said.get_by_text(words)).to_be_visible()
    expect(photo).to_have_count(0)  # the marks are final
    learner.press(learner.card.locator(".next"))
    learner.press(learner.card.get_by_role("button", name="Back", exact=True))
    expect(learner.card).to_contain_text("4 of 64 patches marked")
    assert learner.visitor.overflow() <= 0
    assert learner.visitor.violations() == []


def test_an_answer_that_comes_late_is_of_no_other_step(learn):
    learner = learn("course=trust&step=2")
    learner.visitor.ask(
        """session.running().then((runner) => {
          session.running = async () => ({ answers: async (...given) => {
            await new Promise((resolve) => (window.release = resolve));
            return runner.answers(...given);
          } });
        })"""
    )
    learner.choose_patch(learner.card.get_by_role("application"), 0)
    learner.press(learner.card.locator(".option").first)
    expect(learner.card).to_contain_text("Computing")
    learner.press(learner.card.get_by_role("button", name="Back", exact=True))
    learner.expect_step(1, 6)
    learner.page.evaluate("release()")
    learner.press(learner.card.locator(".dots button").nth(2))
    learner.expect_step(2, 6)
    expect(learner.card).to_contain_text("Mark patches on the photo first.")
    for index in (1, 2):
        learner.press(learner.card.locator(".dots button").nth(index))
        expect(learner.card.locator("[role=status]")).to_be_empty()


def test_tour_goes_on_with_another_picture_and_remembers(learn):
    learner = learn("step=2")
    learner.expect_step(2, 6)
    learner.answer()
    learner.page.locator(".gallery button").nth(7).click()
    expect(learner.card.locator("[role=status]")).to_be_empty()
    expect(learner.card).to_contain_text("You answered this on another picture.")
    learner.answer()
    expect(learner.card).not_to_contain_text("You answered this on another picture.")


def test_an_open_station_puts_the_tour_aside(learn):
    learner = learn("step=1")
    learner.expect_step(1, 6)
    learner.page.keyboard.press("6")
    expect(learner.card).to_be_hidden()
    learner.press(learner.page.get_by_role("button", name="Go back to it"))
    learner.expect_step(1, 6)


def test_the_tour_goes_on_after_the_presenter_was_shown(learn):
    learner = learn("step=1")
    learner.expect_step(1, 6)
    learner.page.keyboard.press("Escape")
    learner.page.keyboard.press("p")
    expect(learner.page.get_by_role("heading", name="Presenter")).to_be_visible()
    learner.page.keyboard.press("Escape")
    learner.press(learner.page.get_by_role("button", name="Take the 5-minute tour"))
    learner.expect_step(0, 6)
    learner.answer()
    learner.press(learner.card.locator(".next"))
    learner.expect_step(1, 6)


def test_print_shows_the_sheet_and_nothing_else(learn):
    learner = learn("step=6")
    learner.page.emulate_media(media="print")
    expect(learner.page.locator(".lesson-sheet")).to_be_visible()
    expect(learner.page.get_by_role("banner")).to_be_hidden()
    expect(learner.card).to_be_hidden()


@pytest.mark.parametrize(("size", "dark"), [("desktop", False), ("projector", True), ("phone", False)])
def test_every_card_is_whole_in_view_and_accessible(learn, size, dark):
    learner = learn("step=0", size=size, dark=dark)
    for index in range(6):
        learner.expect_step(index, 6)
        learner.answer()
        for part in (learner.card, learner.card.locator(".next"), learner.card.get_by_role("button", name="Leave")):
            expect(part).to_be_in_viewport(ratio=1)
        assert learner.visitor.overflow() <= 0
        assert learner.visitor.violations(".card") == [], index
        learner.press(learner.card.locator(".next"))
