# SPDX-License-Identifier: Apache-2.0
"""The teacher: MediaPipe's face landmarker and, where installed, its person mask."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from talkcodec.face.mediapipe import MediaPipeFinder, check_version, model_path
from talkcodec.face.tracker import FollowingTracker
from talkcodec.types import U8, FaceObservation
from training.prepare.mask import PersonMask, check_mask_teacher


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face as the teacher sees it, or None, and where the person is, or None."""

    face: FaceObservation | None
    mask: U8 | None


class Teacher:
    """Labels the frames of one passage after another."""

    def __init__(self, *, mask: bool) -> None:
        self._tracker = FollowingTracker(MediaPipeFinder(details=True))
        self._mask = PersonMask() if mask else None

    def look(self, picture: U8, canvas: U8, time: float) -> Sighting:
        """Label a frame.

        ``picture``: uint8 (S, S, 3) RGB, the crop as sharp as it is; landmarks are in its pixels.
        ``canvas``: the crop, uint8 (256, 256, 3). ``time``: seconds.
        """
        face = self._tracker.track(picture, time)
        return Sighting(face, None if self._mask is None else self._mask(canvas))

    def reset(self) -> None:
        """The next frame belongs to another passage."""
        self._tracker.reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._tracker.close()


def check_teacher(*, mask: bool) -> dict[str, str]:
    """Return the name and version of each teacher.

    Raises:
        MissingDependency: one is not installed, or contacts an analytics host.
    """
    version = check_version()
    model_path()
    teachers = {"face": f"mediapipe {version} face_landmarker"}
    if mask:
        teachers["mask"] = check_mask_teacher().parent.name
    return teachers
