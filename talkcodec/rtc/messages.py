# SPDX-License-Identifier: Apache-2.0
"""What the two sessions of a call have in common."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from talkcodec.bitstream.control import Hello
from talkcodec.bitstream.header import SIZES
from talkcodec.bitstream.wire import VERSION

#: Messages that a session holds for ``outgoing``, and packets it holds for the decoder; the
#: oldest is dropped beyond, and counted as ``overflowed``.
MAX_WAITING = 64


class Channel(Enum):
    """The data channels of a call; the value is the channel's id."""

    MOTION = 1
    REFERENCE = 2
    CONTROL = 3


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and the channel it takes."""

    channel: Channel
    data: bytes


def greeting(table_hash: bytes, codecs: tuple[int, ...]) -> Hello:
    """Return what a receiver says first."""
    return Hello(VERSION, table_hash, SIZES, codecs)
