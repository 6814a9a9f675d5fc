# SPDX-License-Identifier: Apache-2.0
"""Label the frames of a store one by one: ``python -m training.relabel runs/stores/train``.

The teacher that follows a face from frame to frame smooths what it reports, so in a blink it is a
third of a frame late, and a network that sees one frame cannot learn that. The same network asked
about each picture by itself is not. A frame where it finds no face, or another one, keeps the
label it had.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from talkcodec.face import FaceTracker
from talkcodec.face.mediapipe import check_version, landmark_pixels, model_path
from talkcodec.face.quiet import quiet_native_log, unimportable
from talkcodec.face.tracker import observation
from talkcodec.motion.landmarks import inter_ocular
from talkcodec.types import F32, U8, FaceObservation
from training.store import FrameStore

#: Further from the old label than this share of the inter-ocular distance is another face.
OTHER = 0.3


class StillTeacher:
    """A ``FaceTracker``: MediaPipe's landmarker, which forgets every picture at once."""

    def __init__(self) -> None:
        check_version()
        with quiet_native_log(), unimportable("sounddevice"):
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision

            options = vision.FaceLandmarkerOptions(
                base_options=BaseOptions(model_asset_path=str(model_path())),
                running_mode=vision.RunningMode.IMAGE,
            )
            self._image, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
            self._native: Any = vision.FaceLandmarker.create_from_options(options)

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        """Return the surest face in ``picture``, whatever the ``time``, or None."""
        del time
        image = self._image(image_format=self._format, data=np.ascontiguousarray(picture))
        found = self._native.detect(image).face_landmarks
        height, width = picture.shape[:2]
        if not found:
            return None
        return observation(landmark_pixels(found[0], width, height), width, height)

    def reset(self) -> None:
        """There is nothing to forget."""

    def close(self) -> None:
        self._native.close()


def relabel(store: FrameStore, teacher: FaceTracker) -> tuple[F32, int]:
    """Return new labels (N, 478, 3) of ``store``, and for how many frames the old ones stayed."""
    labels, kept = store.landmarks.copy(), 0
    for index, old in enumerate(store.landmarks):
        seen = teacher.track(store.frames[index], 0.0)
        new = old if seen is None else seen.landmarks
        off = np.linalg.norm(new[:, :2] - old[:, :2], axis=1).mean()
        if seen is None or off > OTHER * inter_ocular(old):
            kept += 1
        else:
            labels[index] = new
        if index % 100 == 0:
            print(f"\r{index}/{len(store)}", end="", file=sys.stderr)
    print(file=sys.stderr)
    return labels, kept


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("store", type=Path)
    folder: Path = parser.parse_args().store
    store = FrameStore.open(folder)
    teacher = StillTeacher()
    labels, kept = relabel(store, teacher)
    teacher.close()
    partial = folder / "labels.part.npz"
    np.savez(partial, landmarks=labels, clip=store.clip, identity=store.identity)
    partial.replace(folder / "labels.npz")
    about = store.meta | {"labels": "each frame by itself", "labels_kept": kept}
    (folder / "store.json").write_text(json.dumps(about))
    print(f"{len(store)} frames labelled by themselves, {kept} keep their labels")


if __name__ == "__main__":
    main()
