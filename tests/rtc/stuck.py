# SPDX-License-Identifier: Apache-2.0
"""A decoder that hangs, in place of every one that aiortc would open."""

from __future__ import annotations

import threading


class Stuck:
    """A decoder that does not come back before it is let go."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.in_time = False

    def decode(self, _frame: object) -> list[object]:
        self.entered.set()
        self.in_time = self.let_go.wait(30.0)
        return []
