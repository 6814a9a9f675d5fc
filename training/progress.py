# SPDX-License-Identifier: Apache-2.0
"""How far a run is, how fast and how long to go: a live line on a terminal, else plain lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn


class ProgressLine:
    """Progress on standard error of a run of ``steps`` steps that begins at ``step``."""

    def __init__(self, steps: int, step: int, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, soft_wrap=True)
        self._steps, self._begin, self._start = steps, step, time.monotonic()
        self._bar = Progress(
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._row = self._bar.add_task("", total=steps, completed=step)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, step: int) -> None:
        """Tell that ``step`` steps are done."""
        self._bar.update(self._row, completed=step)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Show losses, speed, and the time left as pauses for validation have it."""
        losses = " ".join(f"{k} {v:.4g}" for k, v in values.items() if k.endswith("loss"))
        speed = f"{values['samples_per_second']:.1f} samples/s"
        left = (time.monotonic() - self._start) / (step - self._begin) * (self._steps - step)
        self._show(step, f"{losses}  {speed}  {duration(left)} left")

    def tell(self, step: int, text: str) -> None:
        """Show a line that stays."""
        self._console.print(f"step {step}: {text}", highlight=False, markup=False)

    def _show(self, step: int, text: str) -> None:
        if self._console.is_terminal:
            self._bar.update(self._row, description=text)
        else:
            self.tell(step, text)


def duration(seconds: float) -> str:
    """Return ``seconds`` as people say it: 45 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
