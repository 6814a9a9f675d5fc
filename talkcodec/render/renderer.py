# SPDX-License-Identifier: Apache-2.0
"""The two renderers behind one protocol, and the choice between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, get_args

from talkcodec import weights
from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.errors import InputError, MissingDependency
from talkcodec.names import RendererName
from talkcodec.render.generated import Doubt, GeneratedRenderer
from talkcodec.render.geometric import Flow, GeometricRenderer, Layer, ReferenceView, Target
from talkcodec.types import F32, U8


class Renderer(Protocol):
    """Draws a face from references, for one thread at a time.

    ``doubt``: how wrong the last picture is expected to be, or None where nothing tells.
    """

    @property
    def doubt(self) -> Doubt | None: ...

    def flow(self, target: Target, reference: ReferenceView, layers: Sequence[Layer] = ()) -> Flow:
        """Return the flow from ``target`` to ``reference`` that landmarks and ``layers`` tell."""

    def matte(self, reference: ReferenceView) -> F32 | None:
        """Return where its person is: float32 (128, 128), 0 to 1; None if nothing tells."""

    def render(
        self,
        target: Target,
        primary: ReferenceView,
        bank: Sequence[ReferenceView] = (),
        layers: Sequence[Layer] = (),
    ) -> U8:
        """Return the picture (S, S, 3) of ``target`` from ``primary``, helped by ``bank``."""


def open_renderer(name: RendererName = "auto", stopwatch: Stopwatch | None = None) -> Renderer:
    """Return a new renderer with the shipped model and weights.

    Raises:
        InputError: an unknown name.
        MissingDependency: ``"generated"`` where no engine is installed.
    """
    if name not in get_args(RendererName):
        raise InputError(
            f"expected a renderer of {', '.join(get_args(RendererName))}, found {name}"
        )
    model, topology = weights.shape_model(), weights.topology()
    if name != "geometric":
        try:
            return GeneratedRenderer(model, topology, stopwatch)
        except MissingDependency:
            if name == "generated":
                raise
    return GeometricRenderer(model, topology, stopwatch or NullStopwatch())
