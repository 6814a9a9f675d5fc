# SPDX-License-Identifier: Apache-2.0
"""The learned renderer: the geometric warp, corrected and painted over by small networks.

Once, a reference's person is told from what is behind, and it is restored when it is first drawn
from; per frame the dense-motion network
corrects the flow outside the face, OpenCV warps the restored reference, the painter adds what no
warp brings, and mouth and eyes are painted by networks of their own. At 512² the networks work at
256² all the same: what they add is scaled up and laid over the warp of the full reference, whose
texture stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.motion.shape import ShapeModel
from talkcodec.render.cells import from_cells, pixels, planes, to_cells
from talkcodec.render.closeup import PARTS, Part, shrunk
from talkcodec.render.engine import EngineName, Precision
from talkcodec.render.engine.signature import Arrays
from talkcodec.render.field import FieldConfig, layered
from talkcodec.render.geometric import (
    Flow,
    GeometricRenderer,
    Layer,
    ReferenceView,
    Target,
    warp,
)
from talkcodec.render.ground import FLOW_SIDE
from talkcodec.render.matte import Matte
from talkcodec.render.mesh import Topology
from talkcodec.render.restore import Restorer
from talkcodec.render.staging import Staged, stage, told_by
from talkcodec.types import CANVAS, F32, U8

#: Mattes that are kept, the last ones found: more than a bank holds.
_MATTES = 12


@dataclass(frozen=True, slots=True)
class Doubt:
    """How wrong a generated picture is expected to be: mean error in 8-bit steps.

    ``picture``: of the whole picture. ``face``: within the face's oval.
    """

    picture: float
    face: float


class GeneratedRenderer:
    """Draws targets from references. Keeps restored references; belongs to one thread at a time.

    ``engine``: of the networks, one core. Loading them takes some 0.2 s. ``beyond``: of the warp.
    """

    def __init__(
        self,
        model: ShapeModel,
        topology: Topology,
        stopwatch: Stopwatch | None = None,
        engine: EngineName = "auto",
        precision: Precision = "auto",
        beyond: FieldConfig | None = None,
    ) -> None:
        self._stopwatch = stopwatch or NullStopwatch()
        self._geometric = GeometricRenderer(model, topology, beyond=beyond or FieldConfig())
        self._matte = Matte(engine, precision)
        self._restorer = Restorer(engine, precision)
        self._motion = weights.open_network("dense_motion", engine, precision)
        self._painter = weights.open_network("painter", engine, precision)
        self._parts = {
            part.name: weights.open_network(part.name, engine, precision) for part in PARTS
        }
        self._mattes: dict[int, tuple[U8, F32]] = {}
        self._restored: dict[int, tuple[U8, ReferenceView]] = {}
        self._told: dict[str, tuple[ReferenceView, U8]] = {}  # by part, of the last one asked
        self.doubt: Doubt | None = None

    def flow(self, target: Target, reference: ReferenceView, layers: Sequence[Layer] = ()) -> Flow:
        """Return the geometric flow from ``target`` to ``reference``, residual layer included."""
        told = replace(reference, matte=self.matte(reference))
        return self._geometric.flow(target, told, layers)

    def matte(self, reference: ReferenceView) -> F32 | None:
        """Return where its person is: float32 (128, 128), 0 to 1. Found once for a picture."""
        picture = reference.picture
        found = self._mattes.get(id(picture))
        if found is None or found[0] is not picture:
            found = self._mattes[id(picture)] = picture, self._matte(picture, FLOW_SIDE)
            while len(self._mattes) > _MATTES:
                del self._mattes[next(iter(self._mattes))]
        return found[1]

    def render(
        self,
        target: Target,
        primary: ReferenceView,
        bank: Sequence[ReferenceView] = (),
        layers: Sequence[Layer] = (),
    ) -> U8:
        """Return the picture (S, S, 3) of ``target`` from ``primary``, patched from ``bank``.

        ``doubt`` then tells of this picture.
        """
        with self._stopwatch.stage("restore"):
            views = self._views([primary, *bank])
        with self._stopwatch.stage("flow"):
            staged = stage(self._geometric, target, views[0], views[1:], layers, told=self._told_by)
        with self._stopwatch.stage("generate"):
            small = np.asarray(cv2.merge([staged.small, pixels(staged.drive)]), np.uint8)
            moved = self._motion.run(
                {
                    "picture": planes(small)[None],
                    "flow": staged.flow[None],
                }
            )
        with self._stopwatch.stage("compose"):
            warped = self._moved(views[0], staged, moved["correction"][0])
        with self._stopwatch.stage("generate"):
            painted = self._paint(warped, staged, moved["features"])
            picture = self._with_parts(painted, warped, staged)
        whole, face = np.exp(np.clip(moved["doubt"][0].astype(np.float64), -3, 6)).tolist()
        self.doubt = Doubt(whole, face)
        return picture

    def close(self) -> None:
        """Release the networks. Closing twice does nothing."""
        self._matte.close()
        self._restorer.close()
        for network in (self._motion, self._painter, *self._parts.values()):
            network.close()

    def _views(self, views: Sequence[ReferenceView]) -> list[ReferenceView]:
        """Return ``views`` with their pictures restored; others are forgotten."""
        kept: dict[int, tuple[U8, ReferenceView]] = {}
        for view in views:
            key = id(view.picture)
            found = self._restored.get(key) or kept.get(key)
            if found is None or found[0] is not view.picture:
                restored, matte = self._restorer(view.picture), self.matte(view)
                found = view.picture, replace(view, picture=restored, matte=matte)
            kept[key] = found
        self._restored = kept
        return [kept[id(view.picture)][1] for view in views]

    def _moved(self, view: ReferenceView, staged: Staged, correction: F32) -> U8:
        """Warp anew along the corrected flow; what comes from other references stays."""
        size = (FLOW_SIDE, FLOW_SIDE)
        shift = cv2.resize(
            np.ascontiguousarray(pixels(correction)),
            size,
            interpolation=cv2.INTER_LINEAR,
        )
        field = staged.field + shift * layered(staged.outside)
        moved = warp(view, field, staged.behind)
        cv2.copyTo(staged.warped, staged.patched.view(np.uint8), moved)
        return moved

    def _paint(self, warped: U8, staged: Staged, features: F32) -> U8:
        side = warped.shape[0]
        cells = to_cells(shrunk(warped), pixels(staged.drive))
        given: Arrays = {"cells": planes(cells)[None], "features": features}
        change = from_cells(pixels(self._painter.run(given)["change"][0]))
        if side != CANVAS:
            large = cv2.resize(change, (side, side), interpolation=cv2.INTER_LINEAR)
            change = np.asarray(large, np.float32)
        return np.asarray(cv2.add(warped, change, dtype=cv2.CV_8U), np.uint8)

    def _with_parts(self, painted: U8, warped: U8, staged: Staged) -> U8:
        for seen in staged.parts:
            part = planes(to_cells(pixels(seen.planes)))
            change = self._parts[seen.part.name].run({"part": part[None]})["change"][0]
            change = planes(from_cells(pixels(change)))
            painted = seen.part.replaced(painted, warped, change, seen.box)
        return painted

    def _told_by(self, part: Part, view: ReferenceView) -> U8:
        """Return what ``view`` tells of ``part``: the same for as long as it is drawn from."""
        found = self._told.get(part.name)
        if found is None or found[0] is not view:
            found = self._told[part.name] = view, told_by(part, view)
        return found[1]
