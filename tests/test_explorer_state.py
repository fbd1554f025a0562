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
