"""What the server remembers of each visitor: the values of gr.State, and nothing else.

Gradio also keeps the configuration and the last value of every component for each of its sessions, to write links
from, which this app does not offer. Making them took longer than the model, and every call of a program makes one.
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
    """The sessions by name. Where there are too many, those go first in which nothing is remembered."""

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
    """Let a served app keep such sessions from now on."""
    app.state_holder = Sessions()
    app.state_holder.set_blocks(page)
