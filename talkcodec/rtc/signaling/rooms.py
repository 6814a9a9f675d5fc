# SPDX-License-Identifier: Apache-2.0
"""The rendezvous without I/O: rooms of two seats, and who may take one.

Nothing is stored but codes, tokens and times, in memory. Time is seconds of the caller's clock.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from talkcodec.errors import SignalingError
from talkcodec.rtc.limits import Buckets, Rate, TokenBucket
from talkcodec.rtc.signaling.codes import new_code, parse_code

SEATS = 2


@dataclass(frozen=True, slots=True)
class RoomLimits:
    """``rooms`` at once; ``waiting`` seconds for the second end to come, ``idle`` seconds after
    the last message. ``creates`` and ``guesses`` (joins that failed): for each address.
    ``messages``: for each room. ``addresses``: remembered at once.
    """

    rooms: int = 1000
    waiting: float = 900.0
    idle: float = 6 * 3600.0
    creates: Rate = field(default=Rate(per_second=1 / 30, burst=10))
    guesses: Rate = field(default=Rate(per_second=1 / 60, burst=5))
    messages: Rate = field(default=Rate(per_second=1.0, burst=30))
    addresses: int = 10_000


class RoomRefused(SignalingError):
    """No seat. ``retry``: seconds until it may help to ask again, 0 when it will not."""

    def __init__(self, reason: str, retry: int = 0) -> None:
        super().__init__(reason)
        self.retry = retry


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in a room. Seat 0 is the room's opener, which makes the offers."""

    code: str
    number: int
    token: str

    @property
    def offers(self) -> bool:
        return self.number == 0


@dataclass(slots=True)
class _Room:
    bucket: TokenBucket
    active: float
    seats: list[Seat] = field(default_factory=list)


class Rooms:
    """Opens rooms, seats those who know the code, and forgets rooms in time."""

    def __init__(
        self, limits: RoomLimits | None = None, make_code: Callable[[], str] = new_code
    ) -> None:
        self._limits = limits or RoomLimits()
        self._make_code = make_code
        self._rooms: dict[str, _Room] = {}
        self._creates = Buckets(self._limits.creates, self._limits.addresses)
        self._guesses = Buckets(self._limits.guesses, self._limits.addresses)

    def __len__(self) -> int:
        return len(self._rooms)

    def create(self, address: str, now: float) -> Seat:
        """Open a room for somebody at ``address``. Raises ``RoomRefused``."""
        if not self._creates.take(address, now):
            raise RoomRefused("expected fewer rooms from one address", 30)
        if len(self._rooms) >= self._limits.rooms:
            raise RoomRefused(f"expected a free room, found all {self._limits.rooms} taken", 60)
        code = self._make_code()
        while code in self._rooms:
            code = self._make_code()
        room = self._rooms[code] = _Room(TokenBucket(self._limits.messages), now)
        return self._seat(code, room)

    def join(self, code: str, token: str, address: str, now: float) -> Seat:
        """Take the second seat of a room, or with its ``token`` a seat once taken.

        Every failure counts as a guess, and costs the same. Raises ``RoomRefused``.
        """
        if not self._guesses.allows(address, now):
            raise RoomRefused("expected fewer wrong room codes from one address", 60)
        room = self._find(code)
        if room is not None:
            for seat in room.seats:
                if hmac.compare_digest(seat.token.encode(), token.encode()):
                    room.active = now
                    return seat
            if not token and len(room.seats) < SEATS:
                room.active = now
                return self._seat(room.seats[0].code, room)
        self._guesses.take(address, now)
        # One answer to all: who guesses must not learn that a room exists.
        raise RoomRefused("expected the code of a room with a free seat, found another")

    def relay(self, seat: Seat, now: float) -> bool:
        """Note a message of ``seat``; return whether its room is there and may pass it on."""
        room = self._rooms.get(seat.code)
        if room is None or not room.bucket.take(now):
            return False
        room.active = now
        return True

    def end(self, code: str) -> None:
        """Forget a room."""
        self._rooms.pop(code, None)

    def expire(self, now: float) -> list[str]:
        """Forget the rooms whose time is over; return their codes."""
        over = [
            code
            for code, room in self._rooms.items()
            if now - room.active
            > (self._limits.idle if len(room.seats) == SEATS else self._limits.waiting)
        ]
        for code in over:
            self.end(code)
        return over

    def _find(self, code: str) -> _Room | None:
        try:
            return self._rooms.get(parse_code(code))
        except SignalingError:
            return None

    @staticmethod
    def _seat(code: str, room: _Room) -> Seat:
        seat = Seat(code, len(room.seats), secrets.token_urlsafe(16))
        room.seats.append(seat)
        return seat
