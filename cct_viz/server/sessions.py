"""Server sessions that store only the values of gr.State for each visitor.

Gradio's sessions also store the configuration and the last value of every component, for sharing links, which this app
does not offer. Creating one takes longer than running the model, and every call of an API client creates one.
"""

from __future__ import annotations

import datetime
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio.state_holder import SessionState, StateHolder


class Session(SessionState):
    """A session whose `config_values` stays empty."""

    def __init__(self, blocks: gr.Blocks) -> None:
        super().__init__(SimpleNamespace(default_config=blocks.default_config, blocks={}))  # type: ignore[arg-type]

    def __setitem__(self, key: int, value: Any) -> None:
        block = self.blocks_config.blocks.get(key)
        if isinstance(block, gr.State):
            self._state_ttl[key] = (block.time_to_live, datetime.datetime.now())
            self.state_data[key] = value
        else:
            self.blocks_config.blocks[key] = value

    def _update_config(self, key: int) -> None:
        """Nothing is kept."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        """Nothing is kept."""


class Sessions(StateHolder):
    """The sessions by name. If there are too many, sessions without stored values are removed first."""

    def __getitem__(self, session_id: str) -> SessionState:
        if session_id not in self.session_data:
            self.session_data[session_id] = Session(self.blocks)
        return super().__getitem__(session_id)

    def update(self, session_id: str) -> None:
        with self.lock:
            if session_id in self.session_data:
                self.session_data.move_to_end(session_id)
            if len(self.session_data) > self.capacity:
                others = [name for name in self.session_data if name != session_id]
                empty = (name for name in others if not self.session_data[name].state_data)
                evicted = next(empty, others[0])
                self.session_data.pop(evicted)
                self.time_last_used.pop(evicted, None)


def keep_only_state(app: Any, page: gr.Blocks) -> None:
    """Make a served app use these sessions from now on."""
    app.state_holder = Sessions()
    app.state_holder.set_blocks(page)
