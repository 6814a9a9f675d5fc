# SPDX-License-Identifier: Apache-2.0
"""What a receiver has to draw with: identity, references, and the renderer.

The decoder draws from its scene; the encoder keeps one that hears the same packets and asks it
what the other side will see. Both being one class is what makes analysis by synthesis honest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from talkcodec import weights
from talkcodec.bitstream.motion import MotionGroup
from talkcodec.bitstream.quantiser import MULTIPLIERS
from talkcodec.bitstream.reference import Reference
from talkcodec.clock import Stopwatch
from talkcodec.errors import BitstreamError
from talkcodec.motion.fit import IDENTITY_LIMIT, neutral_shape
from talkcodec.names import DEFAULT_RENDERER, RendererName
from talkcodec.reference.bank import Bank, BankedReference
from talkcodec.render.geometric import Layer, ReferenceView, Target
from talkcodec.render.renderer import Renderer, open_renderer
from talkcodec.types import F32, F64, I32, U8

#: Ticks for which a layer stays in force without being sent again (FORMAT.md section 12).
LAYER_LIFE = 50

#: Bound on a state component that is drawn, in steps of its quantiser: far beyond any face, yet
#: finite (FORMAT.md section 12).
STATE_BOUND = 4000


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """A frame to draw. ``state``: float64 (D,) in model units; ``layers``: beyond the face."""

    reference: int
    state: F64
    layers: tuple[Layer, ...] = ()


class Scene:
    """Identity, bank and renderer of one stream."""

    def __init__(
        self,
        slots: int,
        stopwatch: Stopwatch | None = None,
        renderer: RendererName | Renderer = DEFAULT_RENDERER,
    ) -> None:
        self.model = weights.shape_model()
        self.bank = Bank(slots)
        self.renderer = (
            open_renderer(renderer, stopwatch) if isinstance(renderer, str) else renderer
        )
        self._identity: tuple[int, ...] | None = None
        self._neutral: F64 | None = None
        self._views: dict[int, ReferenceView] = {}
        # The last one: the same object again lets the renderer know that it has seen it.
        self._target: tuple[F64, Target] | None = None

    @property
    def identity(self) -> tuple[int, ...] | None:
        """The identity in force, in steps, or None before the first reference."""
        return self._identity

    @property
    def neutral(self) -> F64:
        """The neutral shape (478, 3) of the identity in force.

        Raises:
            BitstreamError: no reference has named an identity yet.
        """
        if self._neutral is None:
            raise BitstreamError("expected a reference with an identity first, found none")
        return self._neutral

    def admit(self, reference: Reference, picture: U8) -> None:
        """Put a received (or sent) ``reference`` with its decoded ``picture`` into the bank.

        An identity other than the one in force is another person: the bank is emptied first.

        Raises:
            BitstreamError: ``check`` would; nothing has changed then.
        """
        self.check(reference)
        if reference.identity is not None and reference.identity != self._identity:
            self._identity = reference.identity
            self._neutral = neutral_shape(self.model, reference.identity)
            self._target = None
            self.bank.clear()
        state = self.dequantise(np.asarray(reference.state, np.int32), 0)
        view = ReferenceView.make(picture, state, self.neutral, self.model)
        banked = BankedReference(
            reference.sequence,
            reference.tick,
            picture,
            reference.state,
            view.landmarks.astype(np.float32),
        )
        self.bank.put(reference.slot, banked)
        self._views = {s: v for s, v in self._views.items() if s in self.bank}
        self._views[reference.sequence] = view

    def view(self, sequence: int) -> ReferenceView:
        """Return a banked reference, ready to be warped, or raise ``MissingReference``."""
        self.bank.get(sequence)
        return self._views[sequence]

    def views(self, absent: Collection[int] = ()) -> list[ReferenceView]:
        """Return the banked references but those numbered in ``absent``."""
        return [view for sequence, view in self._views.items() if sequence not in absent]

    def forget(self, sequence: int) -> None:
        """Drop a banked reference, if it is held."""
        self.bank.drop(sequence)
        self._views.pop(sequence, None)

    def target(self, state: F64) -> Target:
        """Return what ``state`` (D,), which nobody may change afterwards, looks like on this face;
        the same object for the array that was given last.
        """
        if self._target is None or self._target[0] is not state:
            self._target = state, Target.make(state, self.neutral, self.model)
        return self._target[1]

    def draw(self, drawing: Drawing, absent: Collection[int] = ()) -> U8:
        """Return the picture (S, S, 3) that a receiver shows who lacks ``absent``."""
        target, primary = self.target(drawing.state), self.view(drawing.reference)
        return self.renderer.render(target, primary, self.views(absent), drawing.layers)

    def dequantise(self, state: I32, quantiser: int) -> F64:
        """Return the components (D,) that integers at ``quantiser`` stand for."""
        bounded = np.clip(state, -STATE_BOUND, STATE_BOUND)
        return np.asarray(bounded * (MULTIPLIERS[quantiser] / 8) * self.model.steps, np.float64)

    def steps(self, quantiser: int) -> F64:
        """Return the step (D,) of each component at ``quantiser``."""
        return np.asarray(MULTIPLIERS[quantiser] / 8 * self.model.steps, np.float64)

    def check(self, reference: Reference) -> None:
        """Raise ``BitstreamError`` unless ``reference`` fits the model and the bank."""
        if reference.slot >= self.bank.slots:
            raise BitstreamError(f"expected a slot below {self.bank.slots}, found {reference.slot}")
        if reference.identity is None and self._neutral is None:
            raise BitstreamError("expected a reference with an identity first, found none")
        dimension = self.model.dimension
        if len(reference.state) != dimension:
            raise BitstreamError(
                f"expected a state of {dimension} integers, found {len(reference.state)}"
            )
        identity = reference.identity
        if identity is None:
            return
        expected = len(self.model.identity_steps)
        if len(identity) != expected or max(map(abs, identity)) > IDENTITY_LIMIT:
            raise BitstreamError(
                f"expected {expected} identity integers within ±{IDENTITY_LIMIT}, found"
                f" {len(identity)} within ±{max(map(abs, identity), default=0)}"
            )


class LayerMemory:
    """The layer in force over time: soft state of drawing, never of decoding.

    A group's layer is measured at its last frame; the frames before fade over from the layer in
    force. A group without one keeps that layer, as long as it draws from the same reference and
    the layer is not older than ``LAYER_LIFE`` ticks; so a still scene costs nothing. A lost
    packet can leave an old layer in force until the next one, and no longer than that.
    """

    def __init__(self) -> None:
        self._reference = -1
        self._tick = 0
        self._layer: Layer | None = None

    def in_force(self, reference: int, tick: int) -> Layer | None:
        """Return the layer that a group at ``tick`` without its own would be drawn with."""
        fits = reference == self._reference and 0 <= self.age(tick) <= LAYER_LIFE
        return self._layer if fits else None

    def age(self, tick: int) -> int:
        """Return how many ticks before ``tick`` the last layer was sent."""
        return tick - self._tick

    def layers(self, group: MotionGroup) -> list[tuple[Layer, ...]]:
        """Return the layers of each frame of ``group``."""
        before = self.in_force(group.reference, group.tick)
        count = len(group.states)
        if group.flow is None:
            return [(before,) if before else ()] * count
        mode, values = group.flow.mode, group.flow.values.astype(np.float32)
        if before is None:
            return [((mode, values),)] * count
        out: list[tuple[Layer, ...]] = []
        for share in np.arange(1, count, dtype=np.float32) / np.float32(count):
            faded: F32 = before[1] * (1 - share)
            out.append(((mode, values * share), (before[0], faded)))
        return [*out, ((mode, values),)]

    def keep(self, group: MotionGroup) -> None:
        """Put the layer of ``group`` in force; a group older than the last one changes nothing."""
        last = group.ticks[-1]
        if last < self._tick:
            return
        if group.flow is not None:
            layer = group.flow.mode, group.flow.values.astype(np.float32)
            self._reference, self._tick, self._layer = group.reference, last, layer
