"""The explorer's state in a real Chromium: what is kept, what a link carries, how a token is chosen and let go."""

import pytest
from conftest import make_trace, tiny_config
from test_explorer_lesson import show_another


@pytest.fixture(scope="module")
def trace():
    return make_trace(tiny_config())


def count_live(explorer):
    """DOM nodes and listeners that the page still holds once the garbage is collected."""
    session = explorer.context.new_cdp_session(explorer.page)
    session.send("HeapProfiler.collectGarbage")
    return session.send("Memory.getDOMCounters")


def test_another_picture_lets_go_of_the_one_before(open_explorer, trace):
    explorer = open_explorer(trace)
    counts = []
    for mounts in (3, 15):
        for i in range(mounts):
            show_another(explorer, trace, picture=f"picture {i}")
        counts.append(count_live(explorer))
    few, many = counts
    assert many["nodes"] < 1.2 * few["nodes"]
    assert many["jsEventListeners"] < 1.2 * few["jsEventListeners"]
    explorer.check_quiet()


def test_a_link_carries_what_was_chosen(open_explorer, trace):
    explorer = open_explorer(trace)
    chosen = {
        "station": "attention",
        "attentionView": "paths",
        "token": 9,
        "pinned": [3, 7],
        "layer": 0,
        "head": 1,
        "a": 2,
        "b": None,
        "overlay": "rollout",
        "fusion": "max",
        "alpha": "measured",
        "step": 1,
        "feature": {"stage": 0, "channel": 5},
        "pooling": "beta",
        "beta": 2.5,
    }
    explorer.choose(**chosen)
    page = explorer.page
    page.evaluate("navigator.clipboard.writeText = async (text) => { globalThis.copied = text }")
    page.get_by_role("button", name="Copy link").click()
    page.wait_for_selector("text=The link is copied.")
    page.goto(page.evaluate("copied"))
    page.reload()
    page.wait_for_selector(".explorer .panel h2")
    state = explorer.choose()
    assert {name: state[name] for name in chosen} == chosen
    assert state["held"] == 9
    explorer.check_quiet()


def test_what_an_address_names_wrongly_is_left_out(open_explorer, trace):
    explorer = open_explorer(trace)
    before = explorer.choose()
    words = "station=moon&token=99&pinned=1.2.3&layer=-1&head=x&a=3&b=&overlay=no&fusion=sum&alpha=2&step=1.5"
    explorer.page.goto(f"{explorer.page.url}#{words}&feature=0.99&pooling=painted&beta=9&seed=a&attentionView=1")
    explorer.page.reload()
    explorer.page.wait_for_selector(".explorer .panel h2")
    assert explorer.choose() == before


def test_the_choices_of_a_link_wait_for_its_picture(open_explorer, trace):
    """The app shows an example until the picture that the address asks for has come."""
    explorer = open_explorer(trace, link="model=tiny&example=deer")
    page = explorer.page
    winner, second, other = (int(c) for c in trace.logits.argsort()[[-1, -2, 0]])
    page.goto(f"{page.url}?example=cat#a={other}&b=mean&station=classes&layer=0")
    page.wait_for_selector(".explorer .panel h2")
    assert explorer.choose()["station"] == "classes"
    for classes in ((other, None), (winner, second)):  # taken once; then the visitor's own pictures come
        show_another(explorer, trace, link="model=tiny&example=cat")
        state = explorer.choose()
        assert (state["station"], state["layer"]) == ("classes", 0)
        assert (state["a"], state["b"]) == classes


def test_other_weights_stay_with_the_next_picture_but_painted_ones(open_explorer, trace):
    explorer = open_explorer(trace)
    explorer.choose(pooling="beta", beta=2.0)
    show_another(explorer, trace)
    state = explorer.choose()
    assert (state["pooling"], state["beta"]) == ("beta", 2.0)
    explorer.choose(pooling="painted")
    show_another(explorer, trace)
    assert explorer.choose()["pooling"] == "model"
