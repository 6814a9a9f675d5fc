# SPDX-License-Identifier: Apache-2.0
"""Values that travel between the packages of talkcodec.

Pictures are RGB inside; BGR exists only at the edges that OpenCV touches. Coordinates are in
pixels of the picture they belong to, x to the right and y down, with the centre of the top
left pixel at (0.5, 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt

U8 = npt.NDArray[np.uint8]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
Bool = npt.NDArray[np.bool_]

#: Side of the coordinate system in which motion states live, whatever the picture's size.
CANVAS = 256

#: Landmarks of a dense observation: 468 of the MediaPipe face mesh and 2 × 5 of the irises.
LANDMARKS = 478

PacketKind = Literal["header", "reference", "motion"]

#: What a call shows: faces drawn from their motion, or ordinary video where that cannot serve.
Mode = Literal["motion", "video"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture and when it is shown.

    ``picture``: uint8 (H, W, 3) RGB. ``pts``: presentation time in units of ``time_base`` seconds.
    """

    picture: U8
    pts: int
    time_base: Fraction

    def __post_init__(self) -> None:
        if self.picture.dtype != np.uint8 or self.picture.ndim != 3 or self.picture.shape[2] != 3:
            raise ValueError(
                f"expected uint8 (H, W, 3), found {self.picture.dtype} {self.picture.shape}"
            )

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds."""
        return self.pts * self.time_base

    def __repr__(self) -> str:
        height, width = self.picture.shape[:2]
        return f"Frame({width}x{height}, pts={self.pts}, time_base={self.time_base})"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, right and bottom edges exclusive."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union with ``other``, 0 to 1."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        inter = max(width, 0.0) * max(height, 0.0)
        union = self.width * self.height + other.width * other.height - inter
        return inter / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True)
class FaceObservation:
    """What a tracker saw in one picture.

    ``landmarks``: float32 (478, 3), x and y in pixels of the picture (they may lie outside it),
    z in the same unit, smaller is nearer, origin near the middle of the head.
    ``confidence``: 0 to 1. ``box``: tight around the landmarks.
    ``blendshapes``: float32 (52,) in 0 to 1, or None where the tracker has none.
    ``pose``: float32 (4, 4), the head in space as the tracker's own camera sees it, or None.
    ``track``: the same number in another picture means the same face, another one perhaps
    another; None where the finder does not follow faces itself.
    ``others``: boxes of further faces in the same picture, as far as somebody looked for them.
    """

    landmarks: F32
    confidence: float
    box: Box
    blendshapes: F32 | None = None
    pose: F32 | None = None
    track: int | None = None
    others: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Packet:
    """One message for the wire or the container.

    ``tick``: the first frame tick it concerns. ``data`` is complete: fragmentation for a
    transport is the transport's business.
    """

    kind: PacketKind
    data: bytes
    tick: int


@dataclass(frozen=True, slots=True)
class StreamSettings:
    """What may change within a stream, from one group to the next.

    ``group``: frames per motion packet, 1 to 4. ``quantiser``: 0 (finest) to 3. ``redundancy``:
    whether packets carry coarse copies of earlier frames. ``divisor``: of the frame rate, 1 to 4.
    ``coarse``: whether new key references are coded in two thirds of the bytes.
    """

    group: int = 3
    quantiser: int = 0
    redundancy: bool = False
    divisor: int = 1
    coarse: bool = False

    def __post_init__(self) -> None:
        bounds = {"group": (1, 4), "quantiser": (0, 3), "divisor": (1, 4)}
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"expected {name} from {least} to {most}, found {value}")
