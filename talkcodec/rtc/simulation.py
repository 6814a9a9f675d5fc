# SPDX-License-Identifier: Apache-2.0
"""A whole call on a virtual clock: real sessions, real packets, virtual links, no sockets.

The motion is the recorded track that ships with the package, quantised and coded at whatever
group size and step the rate control asks for; references are messages of given sizes. What DTLS,
SCTP and IP add to each message, and the acknowledgement that aiortc returns for each, cross the
links as well. aiortc's congestion window is not modelled: with so few bytes under way it does not
act, and ``rtc.probe`` measures the real one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from talkcodec import weights
from talkcodec.bitstream import (
    MotionGroup,
    Reference,
    StreamHeader,
    classify,
    coarse_copy,
    decode_group,
    encode_group,
    group_tick,
    recent_groups,
    to_quantiser,
)
from talkcodec.clock import ManualClock
from talkcodec.errors import MissingReference
from talkcodec.media.sources import Track
from talkcodec.motion.quantise import quantise_group
from talkcodec.rtc.figures import Shown
from talkcodec.rtc.link import DATAGRAM_OVERHEAD, LinkConfig, VirtualLink
from talkcodec.rtc.messages import Channel, Outgoing, greeting
from talkcodec.rtc.path import MESSAGE_ANSWER, MESSAGE_OVERHEAD
from talkcodec.rtc.playout import PlayoutBuffer, PlayoutConfig
from talkcodec.rtc.rate import RateConfig
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.references import PaceConfig
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.soundrate import BLOCK_SECONDS, SoundRate, SoundRateConfig
from talkcodec.rtc.videorate import RTP_OVERHEAD
from talkcodec.types import F64, Packet, StreamSettings

_ACK = b"\xff" * (MESSAGE_ANSWER - DATAGRAM_OVERHEAD)
_SOUND = b"\x01"
_PAD = bytes(MESSAGE_OVERHEAD - DATAGRAM_OVERHEAD - 3)

#: Canvas units an inter-ocular distance, of the face that the track moves.
_SCALE = 60.0


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """One call. ``references``: (second, bytes) of each reference after the first of ``first``
    bytes; ``tracking``, ``drawing``: seconds that the encoder takes for a frame and the receiver
    for a picture. ``script``: (second, both links' config from then on). ``sound``: how sound
    travels beside it, None: not at all.
    """

    link: LinkConfig = field(default_factory=LinkConfig)
    seconds: float = 60.0
    best: StreamSettings = field(default_factory=lambda: StreamSettings(3, 0, redundancy=True))
    first: int = 3300
    references: tuple[tuple[float, int], ...] = ()
    tracking: float = 0.012
    drawing: float = 0.012
    script: tuple[tuple[float, LinkConfig], ...] = ()
    playout: PlayoutConfig | None = None
    pace: PaceConfig | None = None
    rate: RateConfig | None = None
    adapt: bool = True
    sound: SoundRateConfig | None = None
    seed: int = 0


@dataclass(slots=True)
class Log:
    """What happened. Times in seconds of the call's clock, on which tick 0 is captured at 0.

    ``motion``: (sent, arrived) of packets, and ``copies``: of coarse copies of lost packets, in
    later ones; ``references``: (queued, arrived) by sequence.
    ``ages``: for every frame time, ticks by which the newest data shown are older than what was
    to be shown, and the ticks of a group then. ``settings``: (time, rung's settings) at changes.
    ``wire``: (time, bytes forward, bytes back) every second. ``sound``: (first sample heard,
    arrived) of packets.
    """

    shown: list[Shown] = field(default_factory=list)
    motion: list[tuple[float, float]] = field(default_factory=list)
    copies: list[tuple[float, float]] = field(default_factory=list)
    references: dict[int, tuple[float, float | None]] = field(default_factory=dict)
    ages: list[tuple[float, int, int]] = field(default_factory=list)
    settings: list[tuple[float, StreamSettings]] = field(default_factory=list)
    wire: list[tuple[float, int, int]] = field(default_factory=list)
    estimates: list[tuple[float, float, float]] = field(default_factory=list)
    sound: list[tuple[float, float]] = field(default_factory=list)


class _Coder:
    """Makes motion packets of the recorded track, as the encoder does."""

    def __init__(self) -> None:
        self._tables = weights.tables()
        model = weights.shape_model()
        self.rate = Track.load().rate
        self._states: F64 = Track.load().states(model, _SCALE) / model.steps
        self._sent: list[MotionGroup] = []
        self._pending: list[tuple[int, F64]] = []
        self._last = -1

    def state(self, tick: int) -> F64:
        """Return the state (D,) of ``tick`` in finest steps; the track runs to and fro."""
        period = 2 * (len(self._states) - 1)
        place = tick % period
        state: F64 = self._states[min(place, period - place)]
        return state

    def frame(self, tick: int, settings: StreamSettings, reference: Reference) -> Packet | None:
        """Take a frame; return the packet that it completes."""
        if self._last >= 0 and tick - self._last < settings.divisor:
            return None
        self._last = tick
        self._pending.append((tick, self.state(tick)))
        if len(self._pending) < settings.group:
            return None
        frames, self._pending = self._pending, []
        ticks = [tick for tick, _ in frames]
        gaps = tuple(b - a for a, b in pairwise(ticks))
        quantiser = settings.quantiser
        scale = 8 / (8, 12, 16, 24)[quantiser]
        predicted = np.asarray(to_quantiser(reference.state, quantiser), np.int32)
        rows = quantise_group(np.stack([state for _, state in frames]) * scale, predicted)
        group = MotionGroup(ticks[0], gaps, reference.sequence, quantiser, rows)
        if settings.redundancy and self._sent:
            group = replace(group, redundant=coarse_copy(self._sent, group))
        self._sent = recent_groups([*self._sent, group])
        return Packet("motion", encode_group(group, reference.state, self._tables), ticks[0])


class Simulation:
    """One call from its connection to ``seconds`` later. ``run`` returns its log."""

    def __init__(self, config: SimulationConfig) -> None:
        self.config = config
        self.log = Log()
        self.clock = ManualClock()
        tables = weights.tables()
        best = config.best if config.adapt else None
        self.sender = SenderSession(tables.hash, config.pace, best=best, rate=config.rate)
        self.receiver = ReceiverSession(greeting(tables.hash, (1,)))
        self._fixed = config.best
        self._coder = _Coder()
        self._tick_seconds = float(1 / self._coder.rate)
        self.playout: PlayoutBuffer[int] = PlayoutBuffer(self._tick_seconds, config.playout)
        links = [VirtualLink(config.link, random.Random(2 * config.seed + way)) for way in range(2)]
        self.links = links
        for link in links:
            link.impair(link.config, 0.0)
        self._rng = random.Random(config.seed)
        self._header = StreamHeader(256, self._coder.rate, tables.hash)
        self._bank: dict[int, Reference] = {}
        self._named: Reference | None = None
        self._states: dict[int, tuple[int, ...]] = {}
        self._sent_at: dict[bytes, float] = {}
        self._missing: dict[int, float] = {}
        self._waiting: list[tuple[float, Packet]] = []
        self._undecoded: list[bytes] = []
        self._tick = 0
        self._frame = 0
        self._script = sorted(config.script, key=lambda item: item[0])
        self._due = [(0.0, config.first), *config.references]
        self._sound = SoundRate(config.sound) if config.sound is not None else None
        self._sound_due = 0.0

    def run(self) -> Log:
        """Play the whole call."""
        self.sender.send(Packet("header", self._header.serialize(), 0))
        while self.clock.now() < self.config.seconds:
            self._step()
            following = self._next()
            self.clock.advance(max(following - self.clock.now(), 1e-4))
        return self.log

    def _next(self) -> float:
        """Return when something happens next."""
        links = [link.next_due() for link in self.links]
        shows = [self.playout.next_due(), self.playout.next_missing()]
        sessions = [self.sender.next_deadline(), self.receiver.next_deadline()]
        waits = [time for time, _ in self._waiting[:1]] + [self._frame * self._tick_seconds]
        sounds = [self._sound_due] if self._sound is not None else []
        times = [*links, *shows, *sessions, *waits, *sounds]
        return min(time for time in times if time is not None)

    def _step(self) -> None:
        now = self.clock.now()
        while self._script and self._script[0][0] <= now:
            _, config = self._script.pop(0)
            for link in self.links:
                link.config = config
        self._capture(now)
        self._encode(now)
        self._speak(now)
        self._carry(now)
        self._show(now)

    def _capture(self, now: float) -> None:
        """Take the frames whose time has come, and notice the time itself."""
        while self._frame * self._tick_seconds <= now:
            tick, self._frame = self._frame, self._frame + 1
            self._sample(tick)
            while self._due and self._due[0][0] <= now:
                self._make_reference(self._due.pop(0)[1], tick, now)
            named = self._named
            if named is None:
                continue
            settings = self.sender.settings if self.config.adapt else self._fixed
            if not self.log.settings or self.log.settings[-1][1] != settings:
                self.log.settings.append((now, settings))
            packet = self._coder.frame(tick, settings, named)
            if packet is not None:
                self._waiting.append((now + self.config.tracking, packet))

    def _make_reference(self, size: int, tick: int, now: float) -> None:
        sequence = len(self.log.references) % 256
        state = tuple(np.rint(self._coder.state(tick)).astype(int).tolist())
        empty = Reference(sequence, sequence % 4, True, tick, state, None, None, 1, b"")
        picture = self._rng.randbytes(max(size - len(empty.serialize()), 1))
        reference = replace(empty, picture=picture)
        self._bank[sequence] = reference
        self.log.references[sequence] = now, None
        self.sender.send(Packet("reference", reference.serialize(), tick))

    def _encode(self, now: float) -> None:
        while self._waiting and self._waiting[0][0] <= now:
            packet = self._waiting.pop(0)[1]
            self._sent_at[packet.data] = self._missing[packet.tick] = now
            self.sender.send(packet)

    def _speak(self, now: float) -> None:
        """Send the packet of sound whose last sample has been heard."""
        while self._sound is not None and self._sound_due <= now:
            rate = self.sender.rate
            plan = self._sound.look(rate.estimate, now, full=rate.full)
            seconds = plan.blocks * BLOCK_SECONDS
            size = round(plan.rate * seconds / 8) + RTP_OVERHEAD - DATAGRAM_OVERHEAD
            begin = round(1e6 * (self._sound_due - seconds))
            head = _SOUND + max(begin, 0).to_bytes(8, "little")
            self.links[0].send(head.ljust(size, b"\0"), now)
            self._sound_due += seconds

    def _carry(self, now: float) -> None:
        """Move messages until nothing more happens at this moment."""
        for _ in range(4):
            self._send(0, self.sender.outgoing(now, 0), now)
            self._send(1, self.receiver.outgoing(now, 0), now)
            moved = self._deliver(0, self.receiver.receive, now)
            moved |= self._deliver(1, self.sender.receive, now)
            self._receive(now)
            for sequence in self.sender.take_acknowledged():
                if sequence in self._bank and self._newer(sequence):
                    self._named = self._bank[sequence]
            if self.sender.take_request():
                self._make_reference(self.config.first, self._frame, now)
            if not moved:
                return

    def _newer(self, sequence: int) -> bool:
        return self._named is None or (sequence - self._named.sequence) % 256 < 128

    def _send(self, way: int, messages: list[Outgoing], now: float) -> None:
        for message in messages:
            data = b"\0" + len(message.data).to_bytes(2, "little") + message.data + _PAD
            link, config = self.links[way], self.links[way].config
            if message.channel is Channel.CONTROL:
                # Reliable: what would be lost is sent again, which is not modelled.
                link.config = replace(config, loss=0.0, blackout=None)
            link.send(data, now)
            link.config = config

    def _deliver(self, way: int, receive: Callable[[bytes, float], None], now: float) -> bool:
        arrived = self.links[way].due(now)
        for datagram in arrived:
            if datagram[:1] == _SOUND:
                self.log.sound.append((int.from_bytes(datagram[1:9], "little") * 1e-6, now))
            if datagram[0]:
                continue
            self.links[1 - way].send(_ACK, now)
            length = int.from_bytes(datagram[1:3], "little")
            receive(datagram[3 : 3 + length], now)
        return bool(arrived)

    def _receive(self, now: float) -> None:
        for packet in self.receiver.packets():
            kind = classify(packet)
            if kind == "reference":
                reference = Reference.parse(packet)
                self._states[reference.sequence] = reference.state
                self.receiver.banked(reference.sequence)
                queued, _ = self.log.references[reference.sequence]
                self.log.references[reference.sequence] = queued, now
                waiting, self._undecoded = self._undecoded, []
                for earlier in waiting:
                    self._decode(earlier, now)
            elif kind == "motion":
                sent = self._sent_at.pop(packet, None)
                if sent is not None:
                    self.log.motion.append((sent, now))
                self._decode(packet, now)

    def _decode(self, packet: bytes, now: float) -> None:
        try:
            self._tick = group_tick(packet, self._tick)
            group = decode_group(packet, self._states, weights.tables(), self._tick)
        except MissingReference:
            self._undecoded = [*self._undecoded[-7:], packet]
            return
        self._missing.pop(group.ticks[0], None)
        if group.redundant is not None:
            for tick in group.redundant.ticks:
                if tick in self._missing:
                    self.log.copies.append((self._missing.pop(tick), now))
                self.playout.push(tick, tick, now, fresh=False)
        for tick in group.ticks:
            self.playout.push(tick, tick, now)

    def _show(self, now: float) -> None:
        self.receiver.fare(self.playout.waits, tuple(self._states)[-4:])
        # The times come back from floats: a picture a microsecond early is in time.
        due = self.playout.due(now + 1e-6)
        if due is not None:
            self.log.shown.append(Shown(now + self.config.drawing, due[0], concealed=False))
            return
        tick = self.playout.missing(now + 1e-6)
        if tick is not None:
            self.log.shown.append(Shown(now + self.config.drawing, tick, concealed=True))

    def _sample(self, tick: int) -> None:
        """Note how old is what stands on the screen, and once a second the rates."""
        now = self.clock.now()
        shown = self.playout.newest_shown
        if shown is not None:
            settings = self.log.settings[-1][1]
            expected = int((now - (self.playout.delay or 0.0)) / self._tick_seconds)
            age = max(expected - shown, 0)
            self.log.ages.append((now, age, settings.group * settings.divisor))
        if tick % round(self._coder.rate) == 0:
            forward, back = (link.counts.offered_bytes for link in self.links)
            self.log.wire.append((now, forward, back))
            rate = self.sender.rate
            self.log.estimates.append((now, rate.estimate, rate.pace))
