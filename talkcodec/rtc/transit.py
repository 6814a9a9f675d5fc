# SPDX-License-Identifier: Apache-2.0
"""How long packets take from one session to the other, where both are in one process."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from talkcodec.bitstream import classify
from talkcodec.clock import Clock
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession

#: Packets remembered that have not come; of those sent before, motion at least will not.
_AWAITED = 512


@dataclass(frozen=True, slots=True)
class Passage:
    """A packet of ``size`` bytes: when it was given to the one session and came whole out of the
    other, seconds of the clock.
    """

    sent: float
    came: float
    size: int

    @property
    def seconds(self) -> float:
        return self.came - self.sent


class Transit:
    """Notes what passes. ``motion``, ``references``: passages in the order of their arrival.

    Belongs to the event loop's thread, as sessions do.
    """

    def __init__(self, sender: SenderSession, receiver: ReceiverSession, clock: Clock) -> None:
        self.motion: list[Passage] = []
        self.references: list[Passage] = []
        self._clock = clock
        self._awaited: OrderedDict[bytes, float] = OrderedDict()
        sender.tap, receiver.tap = self._sent, self._came

    def awaited(self) -> list[float]:
        """Return when references were sent that have not come."""
        return [at for packet, at in self._awaited.items() if classify(packet) == "reference"]

    def _sent(self, packet: bytes) -> None:
        if classify(packet) == "header":
            return
        if len(self._awaited) == _AWAITED:
            del self._awaited[next(iter(self._awaited))]
        self._awaited[packet] = self._clock.now()

    def _came(self, packet: bytes) -> None:
        sent = self._awaited.pop(packet, None)
        if sent is None:
            return
        passages = self.motion if classify(packet) == "motion" else self.references
        passages.append(Passage(sent, self._clock.now(), len(packet)))
