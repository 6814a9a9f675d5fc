# SPDX-License-Identifier: Apache-2.0
"""The face tracker as the rest of the project sees it.

A ``FaceFinder`` (an adapter around a network) lists the faces of a picture; a ``FaceTracker``
follows one of them. ``FollowingTracker`` makes the second from the first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, Self, get_args

import numpy as np
import numpy.typing as npt

from talkcodec.errors import InputError
from talkcodec.face.follow import Follower
from talkcodec.names import DEFAULT_TRACKER, TrackerName
from talkcodec.types import F32, U8, Box, FaceObservation


class FaceFinder(Protocol):
    """Lists every face in a picture."""

    def find(self, picture: U8, time: float) -> list[FaceObservation]:
        """Return the faces of ``picture``, uint8 (H, W, 3) RGB, shown at ``time`` seconds.

        ``time`` grows from call to call until ``reset``.
        """

    def reset(self) -> None:
        """Forget what was seen: the next picture belongs to another sequence."""

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""


class FaceTracker(Protocol):
    """Follows one face from picture to picture."""

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        """Return the followed face in ``picture``, or None where it is not seen.

        ``picture``: uint8 (H, W, 3) RGB, or grey (H, W) or (H, W, 1). ``time``: seconds.
        """

    def reset(self) -> None:
        """Start again with whoever is there next."""

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""


class FollowingTracker:
    """A ``FaceTracker``: one finder, and the rules of ``Follower``.

    Another picture size, or a time that goes back, begins another sequence: positions are not
    comparable across it.
    """

    def __init__(self, finder: FaceFinder, follower: Follower | None = None) -> None:
        self._finder = finder
        self._follower = follower or Follower()
        self._shape: tuple[int, int] | None = None
        self._time = float("-inf")

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        rgb = as_rgb(picture)
        height, width = rgb.shape[:2]
        if self._shape is not None and (self._shape != (height, width) or time <= self._time):
            self.reset()
        self._shape, self._time = (height, width), time
        faces = self._finder.find(rgb, time)
        chosen = self._follower.choose(faces, time, width, height)
        others = tuple(face.box for face in faces if face is not chosen)
        return replace(chosen, others=others) if chosen is not None and others else chosen

    def reset(self) -> None:
        self._finder.reset()
        self._follower.reset()
        self._shape, self._time = None, float("-inf")

    def close(self) -> None:
        self._finder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_tracker(name: str = DEFAULT_TRACKER) -> FollowingTracker:
    """Open a tracker by name and load its network.

    Raises:
        InputError: no tracker has this name.
        MissingDependency: its package is not installed, or is a version that is refused.
    """
    finder: FaceFinder
    if name == "builtin":
        from talkcodec.face.builtin import BuiltinFinder

        finder = BuiltinFinder()
    elif name == "mediapipe":
        from talkcodec.face.mediapipe import MediaPipeFinder

        finder = MediaPipeFinder()
    elif name == "face-alignment":
        from talkcodec.face.fan import FaceAlignmentFinder

        finder = FaceAlignmentFinder()
    else:
        raise InputError(f"expected a tracker of {', '.join(get_args(TrackerName))}, found {name}")
    return FollowingTracker(finder)


def as_rgb(picture: npt.NDArray[np.uint8]) -> U8:
    """Return ``picture`` as contiguous uint8 (H, W, 3); grey becomes three equal channels.

    Raises:
        InputError: it is no 8-bit picture of one or three channels.
    """
    plain = picture[..., 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture
    if plain.ndim == 2:
        plain = np.repeat(plain[:, :, None], 3, axis=2)
    if plain.dtype != np.uint8 or plain.ndim != 3 or plain.shape[2] != 3 or plain.size == 0:
        raise InputError(
            f"expected a picture of uint8 (H, W[, 1 or 3]), found {picture.dtype} {picture.shape}"
        )
    return np.ascontiguousarray(plain)


def observation(landmarks: F32, width: int, height: int) -> FaceObservation:
    """Wrap ``landmarks``, float32 (478, 3) in pixels, of a picture ``width`` × ``height``.

    Trackers that report no score of their own get the share of landmarks inside the picture as
    their confidence.
    """
    x, y = landmarks[:, 0], landmarks[:, 1]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    box = Box(float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    return FaceObservation(landmarks, confidence=float(inside.mean()), box=box)
