# SPDX-License-Identifier: Apache-2.0
"""How much of which pose, opening and light there is: counts that add up over passages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talkcodec.motion.landmarks import LEFT_LID_GAP, LIP_GAP, RIGHT_LID_GAP, opening
from talkcodec.types import F32, F64
from training.prepare.labels import PassageLabels


@dataclass(frozen=True, slots=True)
class Quantity:
    """``bins`` equal bins from ``low`` to ``high``; what lies outside counts in the last ones."""

    title: str
    low: float
    high: float
    bins: int = 40

    def count(self, values: F64) -> list[int]:
        inside = np.clip(values, self.low, np.nextafter(self.high, self.low))
        counts, _ = np.histogram(inside, bins=self.bins, range=(self.low, self.high))
        return [int(n) for n in counts]


QUANTITIES: Mapping[str, Quantity] = {
    "yaw": Quantity("yaw, degrees, positive to the picture's right", -80, 80),
    "pitch": Quantity("pitch, degrees, positive up", -60, 60),
    "roll": Quantity("roll, degrees, positive counter-clockwise", -60, 60),
    "mouth": Quantity("mouth opening ÷ inter-ocular distance", 0, 0.8),
    "eyes": Quantity("eye opening ÷ inter-ocular distance", 0, 0.3),
    "brightness": Quantity("brightness of the face, 8 bits", 0, 256),
}


def head_angles(pose: F32) -> F64:
    """Return yaw, pitch and roll, float64 (T, 3) in degrees, of poses float32 (T, 4, 4)."""
    rotation = pose[:, :3, :3].astype(np.float64)
    forward = rotation[:, :, 2]
    yaw = np.arctan2(forward[:, 0], forward[:, 2])
    pitch = np.arcsin(np.clip(forward[:, 1], -1, 1))
    roll = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
    return np.asarray(np.degrees(np.stack([yaw, pitch, roll], axis=1)), np.float64)


def measure(labels: PassageLabels) -> dict[str, F64]:
    """Return the quantities that labels tell, all but brightness, of the frames with a face."""
    seen = labels.found
    angles = head_angles(labels.pose[seen])
    marks = labels.landmarks[seen]
    eyes = (opening(marks, LEFT_LID_GAP) + opening(marks, RIGHT_LID_GAP)) / 2
    return {
        "yaw": angles[:, 0],
        "pitch": angles[:, 1],
        "roll": angles[:, 2],
        "mouth": np.asarray(opening(marks, LIP_GAP), np.float64),
        "eyes": np.asarray(eyes, np.float64),
    }


def counts(labels: PassageLabels, brightness: Sequence[float]) -> dict[str, list[int]]:
    """Return the bin counts of every quantity over the frames with a face.

    ``brightness``: mean of the face in 8-bit steps, one a frame.
    """
    light = np.asarray(brightness, np.float64)[labels.found]
    values = {**measure(labels), "brightness": light}
    return {name: quantity.count(values[name]) for name, quantity in QUANTITIES.items()}
