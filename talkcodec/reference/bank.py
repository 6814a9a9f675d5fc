# SPDX-License-Identifier: Apache-2.0
"""The references that a receiver holds, and a sender knows it to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from talkcodec.errors import BitstreamError, MissingReference
from talkcodec.types import F32, U8

#: Most references that any stream may ask a receiver to keep.
MAX_SLOTS = 8


@dataclass(frozen=True, slots=True, eq=False)
class BankedReference:
    """A decoded reference.

    ``sequence``: its number on the wire, 0 to 255. ``tick``: the frame it shows.
    ``picture``: uint8 (S, S, 3) RGB, as decoded. ``state``: its motion state at the finest
    quantiser. ``landmarks``: float32 (478, 2 or 3) of that state, in canvas units.
    """

    sequence: int
    tick: int
    picture: U8
    state: tuple[int, ...]
    landmarks: F32

    def __repr__(self) -> str:
        return f"BankedReference(sequence={self.sequence}, tick={self.tick})"


class Bank:
    """At most ``slots`` references, each in the slot that its message named."""

    def __init__(self, slots: int = MAX_SLOTS) -> None:
        if not 1 <= slots <= MAX_SLOTS:
            raise BitstreamError(f"expected a bank of 1 to {MAX_SLOTS} slots, found {slots}")
        self._slots: list[BankedReference | None] = [None] * slots

    def put(self, slot: int, reference: BankedReference) -> None:
        """Replace what ``slot`` holds; ``BitstreamError`` for a slot the bank does not have."""
        if not 0 <= slot < len(self._slots):
            raise BitstreamError(f"expected a slot below {len(self._slots)}, found {slot}")
        # Numbers repeat after 256 references: an old bearer of this one must not answer to it.
        for index, held in enumerate(self._slots):
            if held is not None and held.sequence == reference.sequence:
                self._slots[index] = None
        self._slots[slot] = reference

    def get(self, sequence: int) -> BankedReference:
        """Return the reference of that number; ``MissingReference`` if it is not held."""
        for held in self._slots:
            if held is not None and held.sequence == sequence:
                return held
        raise MissingReference(f"expected reference {sequence} in the bank, found {self}")

    def at(self, slot: int) -> BankedReference | None:
        """Return what ``slot`` holds, if anything."""
        return self._slots[slot]

    def free_slot(self, used: Mapping[int, int]) -> int:
        """Return an empty slot, else that of the reference whose number was last ``used`` first."""
        if None in self._slots:
            return self._slots.index(None)
        ages = [used.get(held.sequence, 0) for held in self._slots if held is not None]
        return ages.index(min(ages))

    def states(self) -> dict[int, tuple[int, ...]]:
        """Return sequence → motion state, as the motion parser wants it."""
        return {reference.sequence: reference.state for reference in self}

    @property
    def slots(self) -> int:
        """How many references the bank can hold."""
        return len(self._slots)

    def drop(self, sequence: int) -> None:
        """Forget the reference of that number, if it is held."""
        self._slots = [
            None if held is not None and held.sequence == sequence else held for held in self._slots
        ]

    def clear(self) -> None:
        """Forget everything, as at the start of a stream."""
        self._slots = [None] * len(self._slots)

    def __iter__(self) -> Iterator[BankedReference]:
        return (held for held in self._slots if held is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, sequence: object) -> bool:
        return any(held.sequence == sequence for held in self)

    def __str__(self) -> str:
        return f"[{', '.join(str(held.sequence) for held in self)}]"
