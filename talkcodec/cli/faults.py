# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a .tkc file, in one line: packets that are refused, and its early end."""

from __future__ import annotations

from dataclasses import dataclass

from talkcodec.errors import BitstreamError


@dataclass(slots=True)
class Faults:
    """``damage``: what ended the file early. ``refused``: packets gone over; ``first``: why."""

    damage: BitstreamError | None = None
    refused: int = 0
    first: BitstreamError | None = None

    def refuse(self, error: BitstreamError) -> None:
        """Count a packet that could not be used, and go on."""
        self.refused += 1
        self.first = self.first or error

    def error(self, wrote: str = "") -> BitstreamError | None:
        """Return all of it as one error; ``wrote``: what is there of a file with damage."""
        told = [f"{self.damage}{wrote}"] if self.damage else []
        if self.refused:
            packets = "1 packet" if self.refused == 1 else f"{self.refused} packets, the first"
            told.append(f"refused {packets}: {self.first}")
        return BitstreamError("; ".join(told)) if told else None
