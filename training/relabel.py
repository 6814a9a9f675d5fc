# SPDX-License-Identifier: Apache-2.0
"""Label a store's frames without smoothing: ``python -m training.relabel runs/stores/train``.

The teacher that follows a face in real time smooths what it reports, so in a blink it is a third of
a frame late, and a network that sees one frame cannot learn that. Asked about each picture by
itself it is not late, but then its crops come from a detector, which jitters. So it follows, and is
told that so much time lies between frames that its last answer hardly counts. A frame where it
finds no face, or another one, keeps the label it had.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

from talkcodec.face import FaceTracker
from talkcodec.face.mediapipe import Landmarker, check_version, model_path
from talkcodec.face.tracker import as_rgb
from talkcodec.motion.landmarks import inter_ocular
from talkcodec.types import F32, U8, FaceObservation
from training.store import FrameStore

#: Further from the old label than this share of the inter-ocular distance is another face.
OTHER = 0.3

#: Seconds that the teacher is told to lie between two looks. MediaPipe's filter then keeps a fifth
#: of the last answer where hardly anything moves, and a blink is a twentieth of a frame late.
APART = 10.0


class UnsmoothedTeacher:
    """A ``FaceTracker``: MediaPipe's landmarker, which follows a face and hardly smooths it.

    Pictures count as consecutive until ``reset``, whatever their times.
    """

    def __init__(self) -> None:
        check_version()
        self._start()

    def _start(self) -> None:
        self._landmarker = Landmarker(model_path(), 1)
        self._clock = 0.0
        self._following = False

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        """Return the followed face in ``picture``, uint8 (H, W[, 1 or 3]), or None.

        ``time`` does not matter; landmarks are in pixels of ``picture``.
        """
        del time
        rgb = as_rgb(picture)
        seen = self._look(rgb)
        if seen is None and self._following:
            # Not where it was: the next look has the detector search the whole picture.
            self._following = False
            seen = self._look(rgb)
        if seen is not None and not self._following:
            # Found in the detector's crop: the next look cuts it by landmarks, like all others.
            seen = self._look(rgb)
        self._following = seen is not None
        return seen

    def _look(self, rgb: U8) -> FaceObservation | None:
        self._clock += APART
        faces = self._landmarker.detect(rgb, self._clock)
        return faces[0] if faces else None

    def reset(self) -> None:
        """Forget the face: only a new landmarker starts clean."""
        self.close()
        self._start()

    def close(self) -> None:
        """Release the network. Closing twice does nothing."""
        self._landmarker.close()


def relabel(store: FrameStore, teacher: FaceTracker) -> tuple[F32, int]:
    """Return new labels (N, 478, 3) of ``store``, and for how many frames the old ones stayed."""
    labels, kept = store.landmarks.copy(), 0
    for index, old in enumerate(store.landmarks):
        if index and store.clip[index] != store.clip[index - 1]:
            teacher.reset()
        # A store does not know its frames' times; trackers want them to grow.
        seen = teacher.track(store.frames[index], float(index))
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
    with closing(UnsmoothedTeacher()) as teacher:
        labels, kept = relabel(store, teacher)
    partial = folder / "labels.part.npz"
    np.savez(partial, landmarks=labels, clip=store.clip, identity=store.identity)
    partial.replace(folder / "labels.npz")
    about = store.meta | {"labels": "followed, unsmoothed", "labels_kept": kept}
    (folder / "store.json").write_text(json.dumps(about))
    print(f"{len(store)} frames labelled without smoothing, {kept} keep their labels")


if __name__ == "__main__":
    main()
