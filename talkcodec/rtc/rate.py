# SPDX-License-Identifier: Apache-2.0
"""What to send over a path like this: group size, redundancy, step, frame rate, references.

The rungs of a ladder lead from what the caller asked for down to two packets a second. Headers
and acknowledgements are most of the wire (188 of 230 bytes a packet), so the first rungs put more
frames into a packet and only the last ones leave frames out. The rung follows an estimate of the
rate that the path can carry, which follows queues, not loss: the paths that we care about lose
packets that no sending less would save. Down at once, up a rung at a time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

from talkcodec.rtc.path import MESSAGE_ANSWER, MESSAGE_OVERHEAD, PathState
from talkcodec.types import StreamSettings

#: Header of a motion packet, bytes.
_GROUP_HEADER = 4

#: Packets of which one, it is thought, finds the path idle.
_ALONE = 6

#: Frames of a packet that loss calls for, the worst first: ``RateConfig.protect``. The smaller
#: they are, the more of them have to get lost in a row before a frame and all its copies are gone.
_PROTECTED = (1, 2)

#: Frames of a packet at most, and bytes on the wire of a chunk that should fit between two packets.
_LARGEST, _CHUNK = 4, 330

#: Packets out of which a loss is worth protecting against.
_COUNTED = 20

#: Bits per second that acknowledgements of the receiver's reports take on the way forward.
_REPORTS = 800.0

#: The estimate is what packets found while it is so near to the best of them.
_NEAR = 0.8


@dataclass(frozen=True, slots=True)
class RateConfig:
    """How the rate control decides. Rates are bits per second on the wire, forward.

    ``start``, ``least``, ``most``: of the estimate. ``queue``: seconds of a standing queue that
    mean the path is full. ``growth``: of the estimate, per second without one, up to ``untried``
    above twice what arrived. ``share``: of the estimate that the rung may take, and ``filled``:
    that motion takes together with a reference, which leaves between its packets;
    ``references``: of ``share`` what motion leaves to references, up to ``references_most``.
    ``patience``: seconds on a rung before a better one is tried, doubled up to ``patience_most``
    when that failed within ``trial`` seconds. ``headroom``: by which the estimate must exceed a
    better rung. ``protect``: loss from which packets hold one frame only, and two, where there is
    room, and below which they no longer do. ``coarse``: pace of references below which they are
    coded coarsely, and above which no longer. ``silence``: seconds without a report after which
    the path is taken for nearly dead. ``both``: bits per second that the call may take, both ways,
    acknowledgements included; None: as many as the path carries.
    """

    start: float = 100_000.0
    least: float = 5_000.0
    most: float = 2_000_000.0
    queue: float = 0.06
    growth: float = 0.1
    untried: float = 40_000.0
    share: float = 0.85
    filled: float = 0.95
    references: float = 0.25
    references_most: float = 5_000.0
    patience: float = 2.0
    patience_most: float = 60.0
    trial: float = 5.0
    headroom: float = 1.25
    protect: tuple[tuple[float, float], ...] = ((0.22, 0.16), (0.12, 0.06))
    coarse: tuple[float, float] = (30_000.0, 50_000.0)
    silence: float = 6.0
    both: float | None = None


def ladder(best: StreamSettings) -> tuple[StreamSettings, ...]:
    """Return the rungs from ``best`` downwards."""
    larger = replace(best, quantiser=max(best.quantiser, 1))
    rungs = [best, *(replace(larger, group=group) for group in range(best.group + 1, _LARGEST + 1))]
    sparse = replace(rungs[-1], quantiser=max(best.quantiser, 1), coarse=True)
    for divisor, quantiser in ((2, 2), (3, 2), (4, 3)):
        if divisor > best.divisor:
            rungs.append(replace(sparse, divisor=divisor, quantiser=max(best.quantiser, quantiser)))
    return tuple(rungs)


class RateController:
    """Sans-I/O: told times and what the path is like; says what to send.

    ``best``: settings for a good path. ``fps``: frames per second of the source. ``busy``: a
    reference is under way. ``beside``: bits per second on the wire that ordinary video takes.
    """

    def __init__(
        self, best: StreamSettings, fps: float = 25.0, config: RateConfig | None = None
    ) -> None:
        self.config = config or RateConfig()
        self.fps = fps
        self.estimate = self.config.start
        self.loss = 0.0
        self.busy = False
        self.beside = 0.0
        self._rungs = ladder(best)
        self._rung = 0
        self._frame_bytes = 10.0
        self._queue = 0.0
        self._full = False
        self._smallest: int | None = None
        self._coarse = False
        self._updated: float | None = None
        self._changed = float("-inf")
        self._climbed = float("-inf")
        self._patience = self.config.patience
        self._heard: float | None = None
        self._sent = False
        self._alone: deque[float] = deque(maxlen=_ALONE)
        self._told = False
        self._rung = self._affordable(float("inf"))

    @property
    def rung(self) -> int:
        """Place on the ladder, 0 is the best."""
        return self._rung

    @property
    def settings(self) -> StreamSettings:
        """What the encoder should do from now on."""
        settings = self._guarded(self._rungs[self._rung])
        return replace(settings, coarse=settings.coarse or self._coarse)

    @property
    def interval(self) -> float:
        """Seconds from one motion packet to the next."""
        settings = self._guarded(self._rungs[self._rung])
        return settings.group * settings.divisor / self.fps

    @property
    def usable(self) -> float:
        """Bits per second on the wire that we may fill, forward."""
        usable = self.config.filled * self.estimate - _REPORTS - self.beside
        if self.config.both is not None:
            rung = self._guarded(self._rungs[self._rung])
            # Until a first reference has arrived there is no motion to leave room for.
            forward, total = self.cost(rung) * self._sent, self.cost(rung, both=True) * self._sent
            left = self.config.both - total - 2 * _REPORTS - self.beside
            # Chunks are answered too, by acknowledgements and reports half as large.
            usable = min(usable, forward + max(left, 0.0) / 2)
        return usable

    @property
    def pace(self) -> float:
        """Bits per second on the wire that motion leaves for references."""
        return max(self.usable - self.cost(self._guarded(self._rungs[self._rung])), 1_500.0)

    @property
    def known(self) -> bool:
        """True if the estimate is what large packets found, rather than what was not tried yet."""
        return self._told and self.estimate > _NEAR * max(self._alone)

    @property
    def measured(self) -> bool:
        """True once large packets have told something of what the path carries."""
        return self._told

    @property
    def full(self) -> bool:
        """True if a queue stood on the path at the last report: references let it drain."""
        return self._full

    def cost(self, settings: StreamSettings, *, both: bool = False) -> float:
        """Return the bits per second on the wire of motion with ``settings``.

        ``both``: with the acknowledgements that come back.
        """
        packets = self.fps / settings.divisor / settings.group
        size = MESSAGE_OVERHEAD + _GROUP_HEADER + settings.group * self._frame_bytes
        return 8 * packets * (size + MESSAGE_ANSWER * both)

    def spare(self, taken: float) -> float:
        """Return the bits per second on the wire that ordinary video may take in motion's place.

        ``taken``: what sound takes. References get their part, as beside motion.
        """
        config = self.config
        budget = self._budget() - taken
        if config.both is not None:
            most = config.share * config.both - 2 * _REPORTS - 2 * config.references_most
            budget = min(budget, most - taken)
        return budget

    def sent(self, size: int, frames: int) -> None:
        """A motion packet of ``size`` bytes with ``frames`` frames was made."""
        self._sent = True
        each = max(size - _GROUP_HEADER, 0) / max(frames, 1)
        self._frame_bytes += 0.1 * (each - self._frame_bytes)

    def update(self, path: PathState, now: float) -> None:
        """Take what a report showed."""
        elapsed = 0.0 if self._updated is None else min(now - self._updated, 3.0)
        self._updated = self._heard = now
        self.loss, self._queue = path.loss, path.queue
        if path.counted >= _COUNTED:
            self._smallest = self._protection(path.loss)
        self._estimate(path, elapsed)
        self._choose(now)
        coarse = self.config.coarse
        self._coarse = self.pace < (coarse[1] if self._coarse else coarse[0])

    def heard(self, now: float) -> None:
        """The receiver is there, though it told nothing of the path."""
        self._heard = now

    def starve(self, now: float) -> None:
        """Note that nothing may have been heard for long; call this now and then."""
        if self._heard is None:
            self._heard = now
        if now - self._heard > self.config.silence:
            self._heard = now
            self.estimate = max(self.estimate / 2, self.config.least)
            self._choose(now)

    def _estimate(self, path: PathState, elapsed: float) -> None:
        config = self.config
        was_full, self._full = self._full, path.queue > config.queue
        if self._full:
            if path.drained is not None:
                # While a queue stands, packets come as fast as the bottleneck lets them.
                weight = 0.5 if was_full else 1.0
                found = min(path.drained, self.estimate)
                self.estimate += weight * (found - self.estimate)
            elif not was_full:
                self.estimate *= 0.6
        elif path.received is not None and path.loss > 0.45 and path.queue > config.queue / 3:
            # A short queue that overflows loses instead of delaying.
            self.estimate = min(self.estimate, path.received)
        elif path.received is not None:
            # What was never tried is not known to work: no further than twice what did.
            tried = max(2 * path.received + config.untried, self.estimate)
            self.estimate = min(self.estimate * (1 + config.growth) ** elapsed, tried)
        self._alone.extend(path.alone)
        self._told |= len(self._alone) >= (_ALONE if self._sent else 2)
        if self._told:
            # Of so many packets one was alone on the path, and took just its own time.
            self.estimate = min(self.estimate, max(self._alone))
        self.estimate = min(max(self.estimate, config.least), config.most)

    def _budget(self) -> float:
        """Return what the estimate leaves to motion, or to what takes its place."""
        budget = self.estimate * self.config.share
        budget -= _REPORTS + min(self.config.references * budget, self.config.references_most)
        if self._full:
            # What stands in the queue has to get away as well, within a second.
            budget -= self.estimate * min(self._queue, 0.4)
        return budget

    def _choose(self, now: float) -> None:
        budget = self._budget()
        wanted = self._affordable(budget)
        if wanted > self._rung:
            failed = now - self._climbed < self.config.trial
            self._patience = min(
                self._patience * 2 if failed else self.config.patience, self.config.patience_most
            )
            self._rung, self._changed = wanted, now
            return
        rested = now - self._changed >= self._patience
        if (
            rested
            and not self._full
            and self._affordable(budget / self.config.headroom) < (self._rung)
        ):
            self._rung -= 1
            self._changed = self._climbed = now

    def _affordable(self, budget: float) -> int:
        """Return the best rung that costs at most ``budget``, else the last."""
        most = self.config.both or float("inf")
        for place, rung in enumerate(self._rungs):
            fits = self.cost(rung, both=True) + 2 * _REPORTS <= most * self.config.share
            if self.cost(rung) <= budget and fits:
                return place
        return len(self._rungs) - 1

    def _protection(self, loss: float) -> int | None:
        """Return the group size that ``loss`` calls for, None where it calls for nothing."""
        for (begin, end), group in zip(self.config.protect, _PROTECTED, strict=True):
            held = self._smallest is not None and self._smallest <= group
            if loss >= (end if held else begin):
                return group
        return None

    def _guarded(self, settings: StreamSettings) -> StreamSettings:
        """Make packets smaller and more frequent where many are lost and there is room, and larger
        and fewer where a chunk of a reference would not fit between them.
        """
        while self.busy and settings.group < _LARGEST and not self._leaves_room(settings):
            settings = replace(settings, group=settings.group + 1)
        if self._smallest is None:
            return settings
        guarded = replace(settings, redundancy=True)
        for group in range(self._smallest, settings.group):
            smaller = replace(guarded, group=group)
            fits = self.cost(smaller) <= self.config.share * self.estimate / 2
            fits &= not self.busy or self._leaves_room(smaller)
            if fits and self.config.both is None:
                return smaller
        return guarded

    def _leaves_room(self, settings: StreamSettings) -> bool:
        """Return whether a chunk fits between two motion packets, with one for an answer."""
        interval = settings.group * settings.divisor / self.fps
        free = self.config.filled * self.estimate - self.cost(settings)
        return free * interval / 8 >= _CHUNK + MESSAGE_ANSWER / 2
