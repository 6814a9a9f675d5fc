# SPDX-License-Identifier: Apache-2.0
"""The thread that plays sound at its time, and keeps it together with the pictures."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from talkcodec.bitstream.control import Mute, SoundTime
from talkcodec.clock import Clock
from talkcodec.errors import TalkcodecError
from talkcodec.media.sound import BLOCK, I16, SoundBlock
from talkcodec.rtc.driver import failure
from talkcodec.rtc.mailbox import Mailbox
from talkcodec.rtc.soundplayout import SoundPlayout, SoundPlayoutConfig

#: Packets between event loop and thread; the oldest is dropped beyond, and counted.
INBOX = 64

#: Samples that a packet may have: blocks of up to 120 ms in all (RFC 6716, 3.2.5).
_LENGTHS = range(BLOCK, 6 * BLOCK + 1, BLOCK)

#: Seconds without a packet after which pictures wait for sound no longer.
_SILENT = 2.0

#: Seconds that the thread waits for a packet at most before it looks around.
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class _Arrival:
    number: int
    samples: I16
    at: float


class Together:
    """What pictures and sound know of each other: delays from capture, up to one constant.

    Pictures take the delay that both need, smoothly; sound follows them, by blocks. Each value is
    written by one thread and read by the other.
    """

    def __init__(self, patience: float) -> None:
        self.pictures_need: float | None = None
        self.picture_delay: float | None = None
        self.sound_needs: float | None = None
        self._patience = patience

    def picture_floor(self) -> float:
        """Return the delay that pictures should have for the sound's sake."""
        if self.sound_needs is None or self.pictures_need is None:
            return float("-inf")
        return min(self.sound_needs, self.pictures_need + self._patience)

    def sound_floor(self) -> float:
        """Return the delay that sound should have for the pictures' sake."""
        if self.sound_needs is None or self.picture_delay is None:
            return float("-inf")
        return min(self.picture_delay, self.sound_needs + self._patience)


class SoundRoom:
    """Plays what ``put`` was given. ``play`` is called on the thread and should not wait.

    ``latency``: seconds from ``play`` to the ear, which sound is handed out earlier by. ``failed``
    is called on the thread, last, when it ends by an exception, which is then ``failure``.
    """

    def __init__(
        self,
        play: Callable[[SoundBlock], None],
        together: Together,
        failed: Callable[[], None],
        *,
        config: SoundPlayoutConfig,
        latency: float,
        clock: Clock,
    ) -> None:
        self.playout = SoundPlayout(config)
        self.failure: TalkcodecError | None = None
        self._play = play
        self._together = together
        self._failed = failed
        self._latency = latency
        self._clock = clock
        self._inbox: Mailbox[_Arrival | SoundTime | Mute] = Mailbox(INBOX)
        self._heard_at = clock.now()
        self._thread = threading.Thread(target=self._work, name="sound", daemon=True)

    @property
    def waiting(self) -> int:
        """Packets and blocks that wait for the thread or for their time."""
        return len(self._inbox) + len(self.playout)

    @property
    def dropped(self) -> int:
        """Packets dropped because the thread fell behind."""
        return self._inbox.dropped

    def start(self) -> None:
        """Begin; may be called again."""
        if self._thread.ident is None:
            self._thread.start()

    def note(self, notice: SoundTime | Mute) -> None:
        """Take what the other side told of its sound: its time, or that there is none."""
        self._inbox.put(notice)

    def put(self, number: int, samples: I16) -> None:
        """Take a decoded packet, int16 (N,), of whole blocks, of which ``number`` is the first.

        Others are dropped, and what is longer than a packet of Opus can be.
        """
        if samples.ndim == 1 and len(samples) in _LENGTHS:
            self._inbox.put(_Arrival(number, samples, self._clock.now()))

    def close(self) -> None:
        """Stop, and wait until the thread has ended; what was not played is not."""
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        try:
            while not self._inbox.closed:
                due = self.playout.next_due()
                wait = _PATIENCE if due is None else due - self._latency - self._clock.now()
                item = self._inbox.take(min(max(wait, 0.0), _PATIENCE))
                if item is not None:
                    self._take(item)
                self._play_due()
        except Exception as error:  # noqa: BLE001  the thread ends; the receiver passes it on
            self.failure = failure(error)
            self._together.sound_needs = None  # pictures wait for it no longer
            self._failed()

    def _take(self, item: _Arrival | SoundTime | Mute) -> None:
        if isinstance(item, SoundTime):
            self.playout.set_time(item.packet, item.time_us / 1e6)
        elif isinstance(item, Mute):
            self.playout.mute()
        else:
            self._heard_at = item.at
            for place in range(len(item.samples) // BLOCK):
                block = item.samples[place * BLOCK :][:BLOCK]
                self.playout.push(item.number + place, block, item.at)

    def _play_due(self) -> None:
        now = self._clock.now()
        self.playout.floor = self._together.sound_floor()
        block = self.playout.due(now + self._latency)
        alive = now - self._heard_at < _SILENT
        self._together.sound_needs = self.playout.needs if alive else None
        if block is not None:
            self._play(block)
