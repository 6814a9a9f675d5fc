# SPDX-License-Identifier: Apache-2.0
"""When a call leaves the face codec for ordinary video, and when it comes back.

A pure state machine: it is shown one ``Evidence`` a group (or a frame without a face), in the
order of their times, and has no other clock. The states::

    MOTION ──doubt──► STRUGGLING ──wrong, twice or grossly──► VIDEO
      ▲  ◄──calm────────  │  └──doubt that references do not cure──► │
      │                                                  calm for a while
      └── the new key arrived, and is calm ── RETURNING ◄────────────┘
                                                 └── wrong again: VIDEO, for longer

References may go out faster (``hurry``) while STRUGGLING with what is not calm, and from a little
before doubt on: one that is sent when the face is already wrong comes too late. RETURNING starts
the codec anew with a fresh key reference (``take_restart``), behind the video that is still shown.
Evidence becomes a *level* per reason: 1 is wrong, ``doubt`` is doubtful, ``calm`` is nothing to
speak of.

===============  ===================================================================================
reason           what was seen
===============  ===================================================================================
none             nothing speaks against drawing
no_face          nobody is tracked
covered          light or contrast fell: the lens is covered, or the light went out
second_face      another face nearly as large as ours, or larger
hidden_face      a spot of the face that no reference explains: a hand, something held before it
new_object       a spot beside the face that is far worse than it used to be; doubtful at most
another_person   hardly anything of the face is explained
unsure           the tracker does not trust itself
stale            doubtful for long, although references were sent faster
===============  ===================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from math import isnan
from typing import Literal

from talkcodec.trust import Evidence
from talkcodec.types import Mode

Reason = Literal[
    "none",
    "no_face",
    "covered",
    "second_face",
    "hidden_face",
    "new_object",
    "another_person",
    "unsure",
    "stale",
]

#: Reasons that can be judged without a reference to compare with.
BY_ITSELF: frozenset[Reason] = frozenset({"no_face", "covered", "second_face", "unsure"})
#: The highest level of what is beside the face: references can show it, if it stays.
_BESIDE = 0.95
#: Share of the worst spot that the face's mean has where it is wrong everywhere.
_EVERYWHERE = 0.5
#: Radians beyond which a turn excuses no more: a hand makes trackers see any turn.
_TURN = 0.5
#: The highest level that is told apart.
_MOST = 9.0


@dataclass(frozen=True, slots=True)
class ModeConfig:
    """Limits of the signals, in the units of ``Evidence``, and times in seconds.

    A signal at its limit has level 1; limits of the face grow by ``turned`` with every radian.
    ``early``, ``doubt``, ``calm``, ``gross``: levels; references hurry from ``early`` on; at
    ``gross`` one look is enough, else ``confirm``
    seconds must lie between the first and the last of looks that are all wrong. Calm for ``ease``
    ends a struggle, doubt for ``patience`` is ``stale``. Video lasts for ``dwell`` at least.
    ``hold``: calm before returning; it doubles, up to ``longest``, each time that a return fails
    within ``proof``.
    ``renew``: nothing but old references speaking against it for so long, a new one is tried.
    ``settle``: calm of the new key before motion is shown.
    """

    away: float = 0.16
    unsure: float = 0.5
    face: float = 7.0
    turned: float = 1.5
    rest: float = 60.0
    whole: float = 10.0
    rival: float = 0.5
    light: float = 0.55
    detail: float = 0.5
    early: float = 0.6
    doubt: float = 0.7
    calm: float = 0.5
    gross: float = 1.4
    confirm: float = 0.1
    ease: float = 0.5
    patience: float = 3.0
    dwell: float = 0.6
    hold: float = 0.4
    longest: float = 8.0
    proof: float = 5.0
    renew: float = 1.5
    settle: float = 0.2


class State(Enum):
    """See the module's docstring."""

    MOTION = "motion"
    STRUGGLING = "struggling"
    VIDEO = "video"
    RETURNING = "returning"


@dataclass(slots=True)
class ModePolicy:
    """Decides between motion and video; see the module's docstring."""

    config: ModeConfig = field(default_factory=ModeConfig)
    state: State = State.MOTION
    reason: Reason = "none"
    switches: int = 0
    _level: float = 0.0  # of the last look
    _time: float = float("-inf")
    _since: float = float("-inf")  # of the present state
    _wrong: float | None = None  # since when every look was wrong
    _doubtful: float | None = None  # since when every look was doubtful or wrong
    _calm: float | None = None  # since when every look was calm, as ``_remember`` says
    _clear: float | None = None  # since when every look was clear
    _hold: float = 0.0
    _returned: float = float("-inf")
    _restart: bool = False
    _arrived: bool = False

    @property
    def mode(self) -> Mode:
        """What the receiver should show."""
        return "video" if self.state in {State.VIDEO, State.RETURNING} else "motion"

    @property
    def low_confidence(self) -> bool:
        """Whether what motion alone would show is in doubt."""
        return self.state is not State.MOTION

    @property
    def drawing(self) -> bool:
        """Whether motion is shown or being prepared: references are of use."""
        return self.state is not State.VIDEO

    @property
    def hurry(self) -> bool:
        """Whether references should be sent faster."""
        near = self.drawing and self._level >= self.config.early
        return near or (self.state is State.STRUGGLING and self._calm is None)

    def take_restart(self) -> bool:
        """Return True, once, when the codec must begin anew with a key reference."""
        restart, self._restart = self._restart, False
        return restart

    def arrived(self) -> None:
        """The receiver holds the key that a restart asked for."""
        self._arrived = self.state is State.RETURNING

    def observe(self, evidence: Evidence) -> Mode:
        """Take one look into account and return the mode from now on.

        Looks out of order, or at no time, count as nothing seen.
        """
        time = evidence.time
        if isnan(time) or time < self._time:
            return self.mode
        self._time = time
        levels = judge(evidence, self.config)
        worst = max(levels, key=levels.__getitem__)
        level = self._level = levels[worst]
        self._remember(time, levels)
        step = {
            State.MOTION: self._in_motion,
            State.STRUGGLING: self._in_struggle,
            State.VIDEO: self._in_video,
            State.RETURNING: self._in_return,
        }
        step[self.state](time, level, worst)
        return self.mode

    def _remember(self, time: float, levels: dict[Reason, float]) -> None:
        """Note since when looks have been wrong, doubtful, calm, or clear.

        Clear is what needs no reference when it is not in doubt: somebody small in the background
        must not keep a call from returning. Calm is clear, and explained by references.
        """
        config, level = self.config, max(levels.values())
        clear = all(levels[name] < config.doubt for name in BY_ITSELF)
        explained = all(v < config.calm for name, v in levels.items() if name not in BY_ITSELF)
        self._wrong = _since(self._wrong, time, held=level >= 1)
        self._doubtful = _since(self._doubtful, time, held=level >= config.doubt)
        self._calm = _since(self._calm, time, held=clear and explained)
        self._clear = _since(self._clear, time, held=clear)

    def _in_motion(self, time: float, level: float, worst: Reason) -> None:
        if level >= self.config.doubt:
            self._enter(State.STRUGGLING, time, worst)
            self._in_struggle(time, level, worst)

    def _in_struggle(self, time: float, level: float, worst: Reason) -> None:
        config = self.config
        if level >= config.doubt:
            self.reason = worst
        if level >= config.gross or _lasted(self._wrong, time, config.confirm):
            self._leave(time)
        elif _lasted(self._calm, time, config.ease):
            self._enter(State.MOTION, time, "none")
        elif _lasted(self._doubtful, time, config.patience):
            self.reason = "stale"
            self._leave(time)

    def _in_video(self, time: float, level: float, worst: Reason) -> None:
        config = self.config
        if level >= 1:
            self.reason = worst
        if time - self._since < config.dwell:
            return
        wait = max(self._hold, config.hold)
        known = _lasted(self._calm, time, wait)
        unknown = _lasted(self._clear, time, max(wait, config.renew))
        if known or unknown:
            self._restart, self._arrived = True, False
            self._enter(State.RETURNING, time, self.reason)

    def _in_return(self, time: float, level: float, worst: Reason) -> None:
        config = self.config
        if self._restart:  # not taken yet: this look was at the old references
            return
        if level >= 1:
            self._failed()
            self._enter(State.VIDEO, time, worst)
        elif self._arrived and _lasted(self._calm, time, config.settle):
            self._returned = time
            self._enter(State.MOTION, time, "none")
            self.switches += 1

    def _leave(self, time: float) -> None:
        """Go from motion to video."""
        if time - self._returned < self.config.proof:
            self._failed()
        else:
            self._hold = self.config.hold
        self.switches += 1
        self._enter(State.VIDEO, time, self.reason)

    def _failed(self) -> None:
        """A return came too soon: the next one waits for longer."""
        self._hold = min(2 * max(self._hold, self.config.hold), self.config.longest)

    def _enter(self, state: State, time: float, reason: Reason) -> None:
        self.state, self._since, self.reason = state, time, reason
        if state in {State.VIDEO, State.RETURNING}:
            self._calm = self._clear = None


def judge(evidence: Evidence, config: ModeConfig) -> dict[Reason, float]:
    """Return the level of each reason, 0 to 9; what is NaN says nothing."""
    sure = evidence.sure if evidence.away <= 0 else 1.0
    turned = 1 + config.turned * min(_share(evidence.turn, 1.0), _TURN)
    fallen = max(_fall(evidence.light, config.light), _fall(evidence.detail, config.detail))
    hidden = _share(evidence.face, config.face * turned)
    whole = _share(evidence.whole, config.whole * turned)
    everywhere = whole >= 1 and evidence.whole >= _EVERYWHERE * evidence.face
    return {
        "none": 0.0,
        "no_face": _share(evidence.away, config.away),
        "covered": fallen,
        "second_face": _share(evidence.rival, config.rival),
        "another_person": max(whole, hidden) if everywhere else whole,  # of equals the first wins
        "hidden_face": hidden,
        "new_object": min(_share(evidence.rest, config.rest), _BESIDE),
        "unsure": _fall(sure, config.unsure),
    }


def _share(value: float, limit: float) -> float:
    """Return ``value`` as a share of its limit, 0 to ``_MOST``."""
    return 0.0 if isnan(value) else min(max(value / limit, 0.0), _MOST)


def _fall(value: float, limit: float) -> float:
    """Return how far ``value`` has fallen from 1, as a share of the way to ``limit``."""
    return _share((1 - value) / (1 - limit), 1.0)


def _since(since: float | None, time: float, *, held: bool) -> float | None:
    """Return since when a condition has held, if it does."""
    if not held:
        return None
    return time if since is None else since


def _lasted(since: float | None, time: float, seconds: float) -> bool:
    return since is not None and time - since >= seconds
