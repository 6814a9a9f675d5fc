# SPDX-License-Identifier: Apache-2.0
"""A motion group as a value, its bounds, and the four bytes in front of it (FORMAT.md 8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from talkcodec.bitstream.quantiser import COARSEST, rescale
from talkcodec.bitstream.wire import LIMITS, MOTION, STATE_LIMIT, TICK_LIMIT, unwrap
from talkcodec.entropy import TableSet
from talkcodec.errors import BitstreamError, TruncatedError
from talkcodec.types import I32

MAX_GROUP = 4
MAX_GAP = 1 << 14

GROUP_HEADER = 4
_FLOW_BIT, _REDUNDANT_BIT, _RESERVED_BIT = 4, 2, 1


@dataclass(frozen=True, slots=True, eq=False)
class FlowLayer:
    """Motion beyond the face. ``mode``: 1 to 4. ``values``: int32 (n,), within ±2**20."""

    mode: int
    values: I32

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FlowLayer):
            return NotImplemented
        return self.mode == other.mode and np.array_equal(self.values, other.values)

    def __hash__(self) -> int:
        return hash((self.mode, len(self.values)))


@dataclass(frozen=True, slots=True, eq=False)
class MotionGroup:
    """Frames of one motion packet.

    ``tick``: of the first frame. ``gaps``: ticks from each frame to the next, (g - 1,), 1 to
    16384. ``reference``: its sequence number, 0 to 255. ``quantiser``: 0 to 3. ``states``:
    int32 (g, D) in steps of that quantiser, within ±2**20. ``redundant``: a coarse copy of
    earlier frames, with quantiser 3, the same reference, no flow and no copy of its own.
    """

    tick: int
    gaps: tuple[int, ...]
    reference: int
    quantiser: int
    states: I32
    flow: FlowLayer | None = None
    redundant: MotionGroup | None = None

    @property
    def ticks(self) -> tuple[int, ...]:
        """Tick of every frame."""
        return tuple(accumulate(self.gaps, initial=self.tick))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MotionGroup):
            return NotImplemented
        return (
            (self.tick, self.gaps, self.reference, self.quantiser)
            == (other.tick, other.gaps, other.reference, other.quantiser)
            and np.array_equal(self.states, other.states)
            and self.flow == other.flow
            and self.redundant == other.redundant
        )

    def __hash__(self) -> int:
        return hash((self.tick, self.gaps, self.reference, self.quantiser))


@dataclass(frozen=True, slots=True)
class GroupHeader:
    """The first four bytes of a motion packet. ``tick16``: low 16 bits of the first tick."""

    tick16: int
    count: int
    reference: int
    quantiser: int
    flow: bool
    redundant: bool


def recent_groups(groups: Sequence[MotionGroup]) -> list[MotionGroup]:
    """Return the last of ``groups``, oldest first, whose frames fit one copy: whole groups."""
    kept: list[MotionGroup] = []
    for group in reversed(groups):
        if sum(len(other.states) for other in [*kept, group]) > MAX_GROUP:
            break
        kept.insert(0, group)
    return kept


def coarse_copy(groups: Sequence[MotionGroup], following: MotionGroup) -> MotionGroup:
    """Return ``groups``, oldest first and 4 frames at most, as ``following`` may carry them.

    Coarsest quantiser, nothing riding along.
    """
    ticks = [tick for group in groups for tick in group.ticks]
    rows = [
        rescale(row, group.quantiser, COARSEST) for group in groups for row in group.states.tolist()
    ]
    gaps = tuple(later - earlier for earlier, later in pairwise(ticks))
    states = np.array(rows, dtype=np.int32)
    return MotionGroup(ticks[0], gaps, following.reference, COARSEST, states)


def parse_group_header(data: bytes) -> GroupHeader:
    """Return what a motion packet says without tables and references."""
    if len(data) < GROUP_HEADER:
        raise TruncatedError(f"expected {GROUP_HEADER} bytes of motion, found {len(data)}")
    if len(data) > LIMITS.motion:
        raise BitstreamError(f"expected motion of {LIMITS.motion} bytes at most, found {len(data)}")
    bits = data[0]
    if not bits & MOTION or bits & _RESERVED_BIT:
        raise BitstreamError(f"expected a motion packet, found type 0x{bits:02x}")
    return GroupHeader(
        tick16=data[1] | data[2] << 8,
        count=(bits >> 5 & 3) + 1,
        reference=data[3],
        quantiser=bits >> 3 & 3,
        flow=bool(bits & _FLOW_BIT),
        redundant=bool(bits & _REDUNDANT_BIT),
    )


def group_tick(data: bytes, last: int) -> int:
    """Return the first tick of a motion packet: the rule of FORMAT.md section 6.

    ``last``: of the header, or the first of the motion packet, that came before this one, whether
    or not that could be decoded. Raises ``BitstreamError`` where four bytes of motion are none.
    """
    return unwrap(parse_group_header(data).tick16, last)


def group_header_bytes(group: MotionGroup) -> bytes:
    """Return the first four bytes of the packet of ``group``."""
    bits = MOTION | len(group.gaps) << 5 | group.quantiser << 3
    bits |= _FLOW_BIT * bool(group.flow) | _REDUNDANT_BIT * bool(group.redundant)
    return bytes((bits, group.tick & 0xFF, group.tick >> 8 & 0xFF, group.reference))


def check_group(group: MotionGroup, tables: TableSet) -> None:
    """Raise ``ValueError`` unless ``group`` can be coded."""
    _check_frames(group, tables.dimension)
    if group.flow:
        expected = tables.flow.get(group.flow.mode)
        if group.flow.values.shape != (expected,):
            raise ValueError(
                f"expected flow {tables.flow}, found {group.flow.mode}: {group.flow.values.shape}"
            )
        _check_range(group.flow.values)
    copy = group.redundant
    if copy:
        _check_frames(copy, tables.dimension)
        plain = copy.flow is None and copy.redundant is None and copy.quantiser == COARSEST
        if not plain or copy.reference != group.reference:
            raise ValueError("expected a plain redundant copy, as coarse_copy makes")
        if not 1 <= group.tick - copy.ticks[-1] <= MAX_GAP:
            raise ValueError(f"expected a copy before tick {group.tick}, found {copy.ticks}")


def _check_frames(group: MotionGroup, dimension: int) -> None:
    shape = (len(group.gaps) + 1, dimension)
    if group.states.shape != shape or len(group.gaps) >= MAX_GROUP:
        raise ValueError(f"expected states {shape} of 4 at most, found {group.states.shape}")
    if any(not 1 <= gap <= MAX_GAP for gap in group.gaps):
        raise ValueError(f"expected gaps from 1 to {MAX_GAP}, found {group.gaps}")
    if not (0 <= group.tick < TICK_LIMIT and 0 <= group.reference <= 255):
        raise ValueError(f"expected a tick and a u8, found {group.tick}, {group.reference}")
    if not 0 <= group.quantiser <= COARSEST:
        raise ValueError(f"expected a quantiser from 0 to {COARSEST}, found {group.quantiser}")
    _check_range(group.states)


def _check_range(values: I32) -> None:
    if values.dtype.kind != "i":
        raise ValueError(f"expected integers, found {values.dtype}")
    if values.max() > STATE_LIMIT or values.min() < -STATE_LIMIT:
        raise ValueError(f"expected integers within ±{STATE_LIMIT}, found others")
