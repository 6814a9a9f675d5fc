# SPDX-License-Identifier: Apache-2.0
"""Frames in, packets out: the sans-I/O encoder.

It tracks the face, fits the motion state, decides by analysis by synthesis which reference the
receiver should draw from and when it needs a new one, and codes groups of frames::

    encoder = Encoder(EncoderConfig(tick_rate=Fraction(25)))
    packets = [encoder.header()]
    for frame in frames:
        packets += encoder.encode(frame)
    packets += encoder.flush()
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from talkcodec import weights
from talkcodec.analysis import Analyst, Choice, LayerConfig, Sample
from talkcodec.bitstream import (
    MotionGroup,
    Reference,
    StreamHeader,
    coarse_copy,
    encode_group,
    recent_groups,
    to_quantiser,
)
from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.face import FaceTracker, open_tracker
from talkcodec.modes import ModeConfig, Reason
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.motion.quantise import quantise_group
from talkcodec.motion.smooth import OneEuroFilter, SmoothingConfig
from talkcodec.names import DEFAULT_RENDERER, RendererName
from talkcodec.preprocess.window import CropWindow
from talkcodec.reference.codec import CodecId, open_decoder
from talkcodec.reference.coding import ReferenceCoder
from talkcodec.reference.moments import Blinks, eyes_open, first_quality
from talkcodec.reference.policy import RefreshConfig, RefreshPolicy
from talkcodec.render.measure import small_luma
from talkcodec.scene import Drawing, LayerMemory, Scene
from talkcodec.types import (
    CANVAS,
    F64,
    I32,
    U8,
    FaceObservation,
    Frame,
    Mode,
    Packet,
    StreamSettings,
)
from talkcodec.watch import Watch

#: A pause of more seconds than this between two frames ends a group early.
MAX_PAUSE = 0.32

#: Seconds without a face after which the next one may be somebody else: what a follower waits.
NEW_FACE = 1.0

#: Trackers smooth landmarks themselves. Smoothed as much again, lips move too little: on the eight
#: val clips where they erred most, the error of their opening was 3.43 % of the eyes' distance at
#: ``SmoothingConfig()`` and is 3.18 % at this, for 1 % fewer bits.
LIGHT = SmoothingConfig(rest_cutoff=8.0, speed_gain=1.5)


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Parameters of a stream.

    ``size``: canvas side, 256 or 512. ``tick_rate``: ticks per second; at most one frame a tick.
    ``group``: frames per motion packet, 1 to 4. ``quantiser``: 0 (finest) to 3. ``redundancy``:
    whether packets carry a coarse copy of the previous group. ``bank``: references the receiver
    keeps, 1 to 8. ``codec``: of reference pictures. ``startup``: seconds to wait for a frame
    with open eyes before the first reference is sent regardless. ``acknowledged``: draw only from
    references that ``Encoder.acknowledge`` was told of, as a call must, whose receiver would
    otherwise stand still, and decide by a group's middle frame, not its last. ``renderer``: what
    the receiver is taken to draw with, when its picture is foreseen. ``modes``: judge whether the
    face can be drawn at all, and send no motion in mode "video"; None without such video.
    """

    size: int = CANVAS
    tick_rate: Fraction = Fraction(25)
    group: int = 3
    quantiser: int = 0
    redundancy: bool = False
    bank: int = 8
    codec: CodecId = CodecId.AV1
    startup: float = 0.4
    acknowledged: bool = False
    refresh: RefreshConfig = field(default_factory=RefreshConfig)
    layers: LayerConfig = field(default_factory=LayerConfig)
    smoothing: SmoothingConfig = LIGHT
    renderer: RendererName = DEFAULT_RENDERER
    modes: ModeConfig | None = None


@dataclass(frozen=True, slots=True, eq=False)
class GroupTrace:
    """What led to a motion packet, for training and for reports.

    ``states``: float64 (g, D), in finest steps, before quantisation; ``group``: what was coded;
    ``reference_state``: what it was predicted from; ``error``: 1 - SSIM of the frame judged.
    """

    states: F64
    group: MotionGroup
    reference_state: tuple[int, ...]
    error: float


class Encoder:
    """Encodes one stream."""

    def __init__(
        self,
        config: EncoderConfig | None = None,
        tracker: FaceTracker | None = None,
        stopwatch: Stopwatch | None = None,
        trace: Callable[[GroupTrace], None] | None = None,
        background: Executor | None = None,
    ) -> None:
        """``tracker``: by default the one of ``open_tracker()``. ``stopwatch`` times the stages
        track, fit, encode, analyse, reflect and reference encode. ``trace`` hears of every group.
        ``background``: codes what ``reflect`` finds wanted, which a later call of it returns.
        """
        self.dropped = 0
        self.config = config or EncoderConfig()
        self._stopwatch = stopwatch or NullStopwatch()
        self._trace = trace
        self._tables = weights.tables()
        self._tracker = tracker or open_tracker()
        self._window = CropWindow(self.config.size)
        self._scene = Scene(self.config.bank, renderer=self.config.renderer)
        self._model = self._scene.model
        self._layers = LayerMemory()
        layers = self.config.layers
        if self.config.acknowledged:
            layers = layers.in_call(self.config.tick_rate)
        self._analyst = Analyst(self._scene, self._layers, self._tables, layers)
        self._policy = RefreshPolicy(self.config.refresh)
        self._smoother = OneEuroFilter(self.config.smoothing)
        self._settings = StreamSettings()
        self._coder: ReferenceCoder[Sample] = ReferenceCoder(
            self.config.codec, self.config.size, background, self._stopwatch
        )
        self._shown = open_decoder(self.config.codec, self.config.size)
        self._identity: I32 | None = None
        self._neutral: F64 | None = None
        self._waiting: list[Sample] = []
        self._pending: list[Sample] = []
        self._choice: Choice | None = None  # of the pending frames
        self._last_tick = -1
        self._sent: list[MotionGroup] = []  # of the last 4 frames, oldest first
        self._sequence = -1
        self._used: dict[int, int] = {}
        self._floor = 0.05
        self._travelling: dict[int, bool] = {}  # sequence → key, in the order of sending
        self._seen_at, self._absent = 0.0, False
        self._requested, self._blinks = False, Blinks()
        self._window_told: tuple[int, int, int, int] | None = None
        self._watch = Watch(self.config.modes)
        self._judges = True
        self._unjudged: tuple[Sample, MotionGroup] | None = None

    def header(self) -> Packet:
        """Return the stream header; send it first, and again to whoever joins late."""
        tick = max(self._last_tick, 0)
        header = StreamHeader(
            self.config.size, self.config.tick_rate, self._tables.hash, self.config.bank, tick
        )
        return Packet("header", header.serialize(), tick)

    def canvas(self, frame: Frame) -> U8:
        """Return the part of ``frame`` that the codec sees now: uint8 (S, S, 3)."""
        return self._window.crop(frame.picture)

    def adapt(self, settings: StreamSettings) -> None:
        """Go on with other ``settings``; frames that wait for their group keep waiting for it."""
        self.config = replace(
            self.config,
            group=settings.group,
            quantiser=settings.quantiser,
            redundancy=settings.redundancy,
        )
        self._settings = settings

    @property
    def mode(self) -> Mode:
        """What the receiver should show; see ``talkcodec.modes``."""
        return self._watch.mode

    @property
    def reason(self) -> Reason:
        """What speaks against motion."""
        return self._watch.reason

    @property
    def low_confidence(self) -> bool:
        """Whether what motion alone would show is in doubt."""
        return self._watch.low_confidence

    def request_reference(self) -> None:
        """Ask for a new key reference with the next group, as after a receiver lost its bank."""
        self._requested = True

    def acknowledge(self, sequence: int) -> None:
        """Take note that the receiver holds reference ``sequence``.

        A predicted picture cannot be decoded without those before it, so they have arrived too. A
        key picture says nothing of them: it may have overtaken one that will never decode, so
        older ones that still travel are given up.
        """
        if sequence not in self._travelling:
            return
        sent = list(self._travelling)
        for older in sent[: sent.index(sequence)]:
            if self._travelling[sequence]:
                self._scene.forget(older)
            del self._travelling[older]
        del self._travelling[sequence]
        self._watch.arrived(sequence)

    def tick(self, frame: Frame) -> int:
        """Return the tick on which ``frame`` falls."""
        return round(frame.time * self.config.tick_rate)

    def encode(self, frame: Frame, *, judge: bool = True) -> list[Packet]:
        """Take one frame and return the packets that are complete now, often none.

        ``judge``: see at once how the receiver will show a group, and send a reference with it
        where that is not good enough. False: ``reflect`` does that, when the group is on its way.
        A frame that falls on the tick of an earlier one is dropped and counted in ``dropped``. So,
        uncounted, is one on a tick that the frame rate's divisor leaves out. One without a face
        yields nothing, and the receiver holds the last one.
        """
        self._judges = judge
        tick = self.tick(frame)
        if self._last_tick >= 0 and tick - self._last_tick < self._settings.divisor:
            self.dropped += tick <= self._last_tick
            return []
        with self._stopwatch.stage("track"):
            seen = self._tracker.track(frame.picture, float(frame.time))
        if seen is None:
            self._absent = True
            self._smoother.reset()
            out = self._close_group()
            self._watch.absent(float(frame.time), self.canvas(frame))
            return out
        out = self._notice(frame, seen)
        with self._stopwatch.stage("fit"):
            sample = self._sample(frame, tick, seen)
        with self._stopwatch.stage("encode"):
            if not len(self._scene.bank):
                return out + (self._start(sample) if self._watch.drawing else self._wait(sample))
            return out + self._push(sample)

    def reflect(self, *, busy: bool = False) -> list[Packet]:
        """Look at the last group as the receiver will show it; return a reference if it needs one.

        Follows ``encode(frame, judge=False)``: what is sent now serves later groups. ``busy``: no
        time to draw, so only what was asked for is made, and what a face in doubt needs.
        """
        unjudged, self._unjudged = self._unjudged, None
        if not self._coder.busy:
            if unjudged is None or (busy and not (self._requested or self._watch.hurry)):
                return []
            with self._stopwatch.stage("reflect"):
                wanted = self._wants_reference(*unjudged)
            if wanted:
                self._begin_reference(unjudged[0], key=self._requested)
        return self._coded()

    def flush(self) -> list[Packet]:
        """Return what is left: a last, perhaps shorter, group."""
        out = self._start(None) if self._waiting else []
        return out + self._close_group()

    def _notice(self, frame: Frame, seen: FaceObservation) -> list[Packet]:
        """Begin anew for a face that was long away, and reframe one that left the window."""
        time = float(frame.time)
        away, self._seen_at = time - self._seen_at, time
        absent, self._absent = self._absent, False
        moved = self._window.follow(frame.picture.shape, seen)
        # A busy machine may not look for seconds: nobody left for that.
        returned = self._identity is not None and absent and away > NEW_FACE
        if not (moved or returned):
            return []
        out = self._close_group()
        self._waiting.clear()
        self._smoother.reset()
        self._sent.clear()
        if returned:
            self._begin_anew()
        elif len(self._scene.bank):
            self._requested = True
        return out

    def _begin_anew(self) -> None:
        """Perhaps it is another person: nothing that was sent of the last one may be drawn from."""
        self._identity = self._unjudged = self._choice = None
        self._coder.drop()
        self._travelling.clear()
        self._waiting.clear()
        self._smoother.reset()
        self._sent.clear()
        for reference in list(self._scene.bank):
            self._scene.forget(reference.sequence)

    def _wait(self, sample: Sample) -> list[Packet]:
        """Look at a face of which nothing has been sent, behind the video."""
        self._watch.look(self._time(sample), sample, None)
        return []

    def _time(self, sample: Sample) -> float:
        return float(sample.tick / self.config.tick_rate)

    def _sample(self, frame: Frame, tick: int, seen: FaceObservation) -> Sample:
        """Fit and smooth the motion state of a frame; the first one settles the identity."""
        landmarks = self._window.to_canvas(seen.landmarks)
        if self._identity is None:
            self._settle(landmarks)
        interval = float((tick - self._last_tick) / self.config.tick_rate)
        self._last_tick, picture = tick, self.canvas(frame)
        state = self._smoother(self._fit(landmarks), interval)
        bounds = self._window.bounds
        others = tuple(self._window.box_to_canvas(box) for box in seen.others)
        luma = small_luma(picture)
        return Sample(tick, picture, luma, state, landmarks, bounds, seen.confidence, others)

    def _settle(self, landmarks: F64) -> None:
        """Take the identity from ``landmarks`` (478, 3), canvas units."""
        self._identity = fit_identity(self._model, landmarks)
        self._neutral = neutral_shape(self._model, self._identity)

    def _fit(self, landmarks: F64) -> F64:
        """Return the state (D,) of ``landmarks`` in finest steps, not smoothed."""
        assert self._neutral is not None  # a sample settled it
        return fit_state(self._model, self._neutral, landmarks) / self._model.steps

    def _start(self, sample: Sample | None) -> list[Packet]:
        """Collect frames until one is fit to be the first reference, or patience ends."""
        if sample is not None:
            self._waiting.append(sample)
            waited = (sample.tick - self._waiting[0].tick) / self.config.tick_rate
            if waited < self.config.startup and not eyes_open(self._shape(sample)):
                return []
        waiting, self._waiting = self._waiting, []
        steps = self._model.steps
        best = int(np.argmax([first_quality(self._shape(s), s.state * steps) for s in waiting]))
        self._settle(waiting[best].landmarks)
        waiting = self._again(waiting)
        self._begin_reference(waiting[best], key=True)
        out = self._coded(wait=True)
        # In a call, motion of some tenths of a second ago would make playout wait for its like.
        for held in waiting[-1:] if self.config.acknowledged else waiting:
            out += self._push(held)
        return out

    def _again(self, samples: list[Sample]) -> list[Sample]:
        """Fit and smooth ``samples`` once more, for an identity settled since."""
        self._smoother.reset()
        out = []
        for before, sample in pairwise([samples[0], *samples]):
            interval = float((sample.tick - before.tick) / self.config.tick_rate)
            out.append(replace(sample, state=self._smoother(self._fit(sample.landmarks), interval)))
        return out

    def _push(self, sample: Sample) -> list[Packet]:
        """Add a frame to the group; a long pause or a full group closes it."""
        gap = sample.tick - self._pending[-1].tick if self._pending else 0
        out = self._close_group() if gap > MAX_PAUSE * self.config.tick_rate else []
        self._pending.append(sample)
        middle = len(self._pending) == (self.config.group + 1) // 2
        if self.config.acknowledged and middle:  # the group's last frame need not wait for this
            self._analyse(sample)
        if len(self._pending) >= self.config.group:
            out += self._close_group()
        return out

    def _analyse(self, sample: Sample) -> None:
        """Decide by ``sample`` how pending frames are drawn, or begin anew without them."""
        with self._stopwatch.stage("analyse"):
            choice = self._analyst.choose(sample, self._pending[0].tick, self._travelling)
            self._choice = choice
            with self._stopwatch.stage("judge"):
                anew = self._watch.look(self._time(sample), sample, choice)
        if anew:
            self._pending.clear()
            self._begin_anew()

    def _close_group(self) -> list[Packet]:
        """Code the pending frames."""
        gone = self._choice is not None and self._choice.reference.sequence not in self._scene.bank
        if self._pending and (self._choice is None or gone):
            self._analyse(self._pending[-1])
        samples, self._pending = self._pending, []
        choice, self._choice = self._choice, None
        if not samples or choice is None:
            return []
        group, last = self._group(samples, choice), samples[-1]
        self._unjudged = last, group
        out = self.reflect() if self._judges else []
        if out:
            choice = self._analyst.choose(last, samples[0].tick, self._travelling)
            group = self._group(samples, choice)
        self._used[choice.reference.sequence] = last.tick
        if self.mode == "video":
            return out
        if self._trace is not None:
            states = np.stack([sample.state for sample in samples])
            self._trace(GroupTrace(states, group, choice.reference.state, choice.error))
        data = encode_group(group, choice.reference.state, self._tables)
        self._sent = recent_groups([*self._sent, group])
        self._layers.keep(group)
        return [*out, Packet("motion", data, group.tick)]

    def _group(self, samples: list[Sample], choice: Choice) -> MotionGroup:
        """Quantise the states of ``samples``, each with a dead zone around its prediction."""
        quantiser = self.config.quantiser
        scale = self._model.steps / self._scene.steps(quantiser)
        predicted = np.asarray(to_quantiser(choice.reference.state, quantiser), np.int32)
        rows = quantise_group(np.stack([sample.state for sample in samples]) * scale, predicted)
        ticks = [sample.tick for sample in samples]
        gaps = tuple(b - a for a, b in pairwise(ticks))
        sequence = choice.reference.sequence
        group = MotionGroup(ticks[0], gaps, sequence, quantiser, rows, choice.flow)
        recent = [before for before in self._sent if ticks[0] - before.tick < 256]
        if self.config.redundancy and recent:
            return replace(group, redundant=coarse_copy(recent, group))
        return group

    def _wants_reference(self, sample: Sample, group: MotionGroup) -> bool:
        """Draw what the receiver will show and ask the policy whether it is good enough."""
        if not self._watch.drawing:
            return False  # a return begins with a key
        if self._requested:
            return True
        if self._travelling:
            return False  # one at a time: it may already be the cure
        state = self._scene.dequantise(group.states[-1], group.quantiser)
        drawing = Drawing(group.reference, state, self._layers.layers(group)[-1])
        seen = self._analyst.foresee(sample, drawing)
        time, gain = self._time(sample), seen.error - self._floor
        wanted = self._policy.decide(time, gain, torn=seen.torn, hurry=self._watch.hurry)
        return wanted and not self._blinks.shut(self._shape(sample))

    def _begin_reference(self, sample: Sample, *, key: bool) -> None:
        self._requested = False
        self._coder.begin(sample, sample.picture, key=key, coarse=self._settings.coarse)

    def _coded(self, *, wait: bool = False) -> list[Packet]:
        """Return the reference that was begun, if it is there, admitted as the receiver will."""
        done = self._coder.take(wait=wait)
        if done is None:
            return []
        sample, coded = done.of, done.picture
        self._sequence = (self._sequence + 1) % 256
        assert self._identity is not None  # a sample exists, so it has been fitted
        first = not len(self._scene.bank)
        reference = Reference(
            sequence=self._sequence,
            slot=self._scene.bank.free_slot(self._used),
            key=coded.key,
            tick=sample.tick,
            state=tuple(np.rint(sample.state).astype(int).tolist()),
            identity=tuple(self._identity.tolist()) if first or done.key else None,
            window=sample.window if sample.window != self._window_told else None,
            codec=int(self.config.codec),
            picture=coded.data,
        )
        picture = self._shown.decode(coded.data, key=coded.key, sequence=self._sequence)
        self._scene.admit(reference, picture)
        data = reference.serialize()
        if first:
            self._policy.begin(self._time(sample))
        else:
            self._policy.spent(8 * len(data))
        self._floor = self._analyst.picture_error(picture, sample)
        self._window_told = sample.window
        self._used[self._sequence] = sample.tick
        self._travelling = {s: k for s, k in self._travelling.items() if s in self._scene.bank}
        if coded.key:
            self._watch.sent(self._sequence)
        if self.config.acknowledged:
            self._travelling[self._sequence] = coded.key
        else:
            self._watch.arrived(self._sequence)
        return [Packet("reference", data, sample.tick)]

    def _shape(self, sample: Sample) -> F64:
        assert self._neutral is not None  # a sample exists, so it has been fitted
        return self._model.deform(self._neutral, sample.state * self._model.steps)
