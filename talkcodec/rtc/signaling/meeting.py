# SPDX-License-Identifier: Apache-2.0
"""Makes a call's connection over a signaling, and makes it again when it is lost.

One end offers, always the same one, so that two offers never cross. The other end asks it for a
new offer (``Renew``) when it is the first to notice. What comes after the first connection must
prove that it comes from the same end (``binding.Continuity``), or it is ignored: who controls
signaling can keep a lost connection from being made again, and can do nothing to one that stands.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from talkcodec.clock import Clock, SystemClock
from talkcodec.errors import MissingDependency, SignalingError, TalkcodecError
from talkcodec.rtc.binding import Binding, Continuity, Role
from talkcodec.rtc.guard import screen
from talkcodec.rtc.signaling.backoff import Backoff
from talkcodec.rtc.signaling.protocol import (
    Answer,
    Bye,
    Message,
    Offer,
    Ready,
    Renew,
    Signaling,
)


class End(Protocol):
    """What a meeting needs of a call: ``talkcodec.rtc.call.Call`` is one."""

    async def offer(self) -> str:
        """Begin a connection, in place of the one there was, and describe it."""

    async def answer(self, offer: str) -> str:
        """As ``offer``, from the other end's description."""

    async def accept(self, answer: str) -> None:
        """Take the answer to the last offer and wait until the connection stands."""

    async def connected(self) -> None:
        """Wait until the connection of the last answer stands."""

    def binding(self) -> Binding:
        """Return what the connection that stands tells of its other end."""


@dataclass(frozen=True, slots=True)
class MeetingConfig:
    """Seconds. ``arrival``: for the other end to come. ``patience``: for a connection to be made
    or made again, all attempts together.
    """

    arrival: float = 900.0
    patience: float = 60.0
    backoff: Backoff = field(default_factory=Backoff)


class Meeting:
    """Use ``connect`` once, then ``keep`` in a task beside the call, and ``close`` at the end.

    ``tell`` is given what people may want to know, one line at a time.
    """

    def __init__(
        self,
        signaling: Signaling,
        end: End,
        *,
        config: MeetingConfig | None = None,
        tell: Callable[[str], None] = lambda _line: None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.words: str | None = None
        self.connections = 0
        self.ignored = 0
        self._signaling = signaling
        self._end = end
        self._config = config or MeetingConfig()
        self._tell = tell
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._continuity = Continuity()
        self._attempt = 0
        self._ready = False
        self._lost = False
        self._offer: Offer | None = None
        self._answer: Answer | None = None
        self._ended: SignalingError | None = None
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def connect(self) -> str:
        """Wait for the other end and make the first connection; return the words to compare.

        Raises:
            SignalingError: nobody came, or no connection could be made.
        """
        self._reader = asyncio.create_task(self._read())
        offers = self._signaling.offers
        there = self._until(lambda: self._ready if offers else self._offer is not None)
        if not await self._within(there, self._config.arrival):
            raise SignalingError("expected the other side to come, found nobody")
        await self._make()
        return self.words or ""

    def lose(self) -> None:
        """The connection is gone: let ``keep`` make another one. May be called at any time."""
        self._lost = True
        self._changed.set()

    async def keep(self) -> None:
        """Make the connection again whenever it is lost, here or by the other end's account.

        Raises:
            SignalingError: the other end is gone for good, or patience is over.
        """
        while True:
            await self._until(lambda: self._lost or self._offer is not None)
            self._tell("connection lost: making it again")
            if not self._signaling.offers and self._offer is None:
                await self._signaling.send(Renew(self._continuity.sign_renewal()))
            await self._make()
            self._tell("connected again")

    async def close(self, reason: str = "") -> None:
        """Say farewell and leave."""
        with suppress(SignalingError, TimeoutError):
            await asyncio.wait_for(self._signaling.send(Bye(reason)), 2.0)
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        await self._signaling.close()

    async def _make(self) -> None:
        """Attempt to connect until it works or patience is over."""
        deadline = self._clock.now() + self._config.patience
        failures = 0
        while True:
            try:
                await (self._offering() if self._signaling.offers else self._answering())
                self._established()
            except (TimeoutError, TalkcodecError) as error:
                failures += 1
                wait = self._config.backoff.wait(failures, self._rng)
                final = isinstance(error, MissingDependency) or self._ended is not None
                if final or self._clock.now() + wait > deadline:
                    raise SignalingError(f"expected a connection, found: {error}") from error
                self._tell(f"no connection ({_short(error)}): again in {wait:.1f} s")
                await asyncio.sleep(wait)
                if not self._signaling.offers and self._offer is None:
                    await self._signaling.send(Renew(self._continuity.sign_renewal()))
            else:
                return

    async def _offering(self) -> None:
        self._attempt += 1
        self._answer = None
        sdp = self._continuity.sign("offer", await self._end.offer())
        async with asyncio.timeout(self._signaling.patience):
            while (answer := self._take_answer()) is None:
                # An end that comes back to its seat has missed what was said meanwhile.
                self._ready = False
                await self._signaling.send(Offer(sdp, self._attempt))
                await self._until(lambda: self._answer is not None or self._ready)
        await self._end.accept(answer.sdp)

    async def _answering(self) -> None:
        async with asyncio.timeout(self._signaling.patience):
            await self._until(lambda: self._offer is not None)
        await self._answer_to(self._take_offer())

    async def _answer_to(self, offer: Offer) -> None:
        sdp = self._continuity.sign("answer", await self._end.answer(offer.sdp))
        await self._signaling.send(Answer(sdp, offer.attempt))
        # The other end may give this attempt up and offer anew.
        connected = asyncio.ensure_future(self._end.connected())
        newer = asyncio.ensure_future(self._until(lambda: self._offer is not None))
        try:
            await asyncio.wait((connected, newer), return_when=asyncio.FIRST_COMPLETED)
            if newer.done() and newer.exception() is None:
                raise SignalingError("expected a connection, found a newer offer")
            await connected
        finally:
            for task in (connected, newer):
                task.cancel()
            await asyncio.gather(connected, newer, return_exceptions=True)

    def _take_answer(self) -> Answer | None:
        answer, self._answer = self._answer, None
        return answer

    def _take_offer(self) -> Offer:
        offer, self._offer = self._offer, None
        if offer is None:
            raise SignalingError("expected an offer, found none")
        self._attempt = offer.attempt
        return offer

    def _established(self) -> None:
        binding = self._end.binding()
        if self.words is None:
            self.words = binding.words
        self._continuity.establish(binding.key)
        self.connections += 1
        self._lost = False

    async def _read(self) -> None:
        """Sort what the other end says, for as long as it can say something."""
        try:
            while self._ended is None:
                self._take(await self._signaling.receive())
                self._changed.set()
        except SignalingError as error:
            self._ended = error
            self._changed.set()

    def _take(self, message: Message) -> None:
        if isinstance(message, Ready):
            self._ready = True
        elif isinstance(message, Renew) and self._signaling.offers:
            if self._continuity.accepts_renewal(message.proof):
                self._lost = self._lost or self._continuity.established
            else:
                self.ignored += 1
        elif isinstance(message, (Offer, Answer)):
            self._take_description(message)
        elif isinstance(message, Bye):
            self._ended = SignalingError(f"the other side left: {message.reason or 'no reason'}")

    def _take_description(self, message: Offer | Answer) -> None:
        """Keep what is wanted, well formed and proven; count the rest as ``ignored``."""
        if self._signaling.offers:
            wanted = isinstance(message, Answer) and message.attempt == self._attempt
        else:
            wanted = isinstance(message, Offer) and message.attempt > self._attempt
        try:
            sdp = screen(message.sdp) if wanted else ""
        except SignalingError as error:
            self._tell(str(error))
            wanted = False
        role: Role = "offer" if isinstance(message, Offer) else "answer"
        if not wanted or not self._continuity.accepts(role, sdp):
            self.ignored += 1
        elif isinstance(message, Offer):
            self._offer = Offer(sdp, message.attempt)
        else:
            self._answer = Answer(sdp, message.attempt)

    async def _until(self, ready: Callable[[], bool]) -> None:
        """Wait until ``ready``. Raises ``SignalingError`` when that cannot be any more."""
        while not ready():
            if self._ended is not None:
                raise self._ended
            self._changed.clear()
            await self._changed.wait()

    @staticmethod
    async def _within(work: Awaitable[None], seconds: float) -> bool:
        try:
            await asyncio.wait_for(work, seconds)
        except TimeoutError:
            return False
        return True


def _short(error: BaseException) -> str:
    return str(error)[:100] or "no answer in time"
