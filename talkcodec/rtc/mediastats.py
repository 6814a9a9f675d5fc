# SPDX-License-Identifier: Apache-2.0
"""What a call reports about sound and ordinary video, beside ``stats``: totals so far."""

from __future__ import annotations

from dataclasses import dataclass

from talkcodec.types import Mode


@dataclass(frozen=True, slots=True)
class SentMedia:
    """Totals of the sending side at ``timestamp`` (seconds of the clock).

    ``sound_muted``: blocks of 20 ms given while muted. Bytes are those of codecs, without RTP.
    ``video_rate`` (bits per second of VP8), ``video_divisor`` (every so many-th picture) and
    ``video_side`` (pixels) are what video is told to be, or would be now.
    """

    timestamp: float
    mode: Mode
    mode_switches: int
    video_pictures: int
    video_bytes: int
    sound_packets: int
    sound_bytes: int
    sound_muted: int
    video_rate: int = 0
    video_divisor: int = 1
    video_side: int = 0


@dataclass(frozen=True, slots=True)
class ReceivedMedia:
    """Totals of the receiving side at ``timestamp`` (seconds of the clock).

    ``video_pictures``: decoded; ``video_dropped``: before the stream header, or because the worker
    fell behind. ``sound_blocks``: handed out; ``sound_concealed``: of them made up for ones that
    did not come in time; ``sound_muted``: of them silence, because the other side sent none;
    ``sound_late``: arrived after their time; ``sound_skipped``, ``sound_inserted``: blocks left
    out or put in to keep sound and pictures together. ``sound_delay``,
    ``picture_delay``: seconds from capture to showing, up to the same unknown constant; their
    difference is what the two are apart. None while there is none.
    """

    timestamp: float
    mode: Mode
    mode_switches: int
    video_pictures: int
    video_dropped: int
    sound_blocks: int
    sound_concealed: int
    sound_muted: int
    sound_late: int
    sound_skipped: int
    sound_inserted: int
    sound_delay: float | None
    picture_delay: float | None
