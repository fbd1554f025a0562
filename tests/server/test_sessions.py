"""What the server stores for each visitor, and which sessions it removes first."""

import gradio as gr
import pytest

from cct_viz.server.sessions import Sessions


@pytest.fixture
def sessions():
    with gr.Blocks() as page:
        page.remembered = gr.State("first", time_to_live=60)
        page.box = gr.Textbox("hello")
    holder = Sessions()
    holder.set_blocks(page)
    holder.capacity = 3
    return holder


def test_a_visitor_gets_its_own_values_back(sessions):
    key = sessions.blocks.remembered._id
    assert sessions["a"][key] == "first"
    sessions["a"][key] = "mine"
    assert (sessions["a"][key], sessions["b"][key]) == ("mine", "first")
    sessions["a"][sessions.blocks.box._id] = gr.Textbox("changed", render=False)
    assert sessions["a"][sessions.blocks.box._id].value == "changed"
    assert sessions["b"][sessions.blocks.box._id].value == "hello"


def test_only_state_values_are_stored(sessions):
    session = sessions["a"]
    session[sessions.blocks.remembered._id] = "mine"
    session._update_config(sessions.blocks.box._id)
    session._update_value_in_config(sessions.blocks.box._id, "long")
    assert session.config_values == {}
    assert list(session.components) == []
    assert [value for _, value, _ in session.state_components] == ["mine"]


def test_api_calls_remove_no_visitors_session(sessions):
    key = sessions.blocks.remembered._id
    sessions["visitor"][key] = "mine"
    for i in range(10):
        assert sessions[f"call{i}"] is not None  # stores nothing
    assert len(sessions.session_data) == 3
    assert sessions["visitor"][key] == "mine"


def test_the_least_recently_used_session_is_removed_first(sessions):
    key = sessions.blocks.remembered._id
    for name in ("a", "b", "c"):
        sessions[name][key] = name
    assert sessions["a"][key] == "a"
    sessions["d"][key] = "d"
    assert list(sessions.session_data) == ["c", "a", "d"]
    assert set(sessions.time_last_used) == {"c", "a", "d"}
