# SPDX-License-Identifier: Apache-2.0
"""Which of the faces in a picture is the one we follow.

A call shows one person. Somebody bigger walking past, or a network that lists its faces in another
order, must not swap identities: the reference picture would be of the wrong head. Rules:

* nobody followed yet: the largest face that is visible enough;
* somebody followed: the face that overlaps where it was last, however big the others are; none
  overlaps: nothing is reported, even if another face is in plain view;
* a face that the finder itself followed beside ours is another one, however much it overlaps: it
  passes in front;
* nothing reported for longer than ``patience``: forget, and start again with the largest;
* a face of which less than ``visible`` lies inside the picture counts as not seen, because its
  landmarks outside are guesses.
"""

from __future__ import annotations

from collections.abc import Sequence

from talkcodec.types import Box, FaceObservation

#: Seconds for which a face that is out of sight is waited for.
PATIENCE = 1.0

#: Intersection over union from which on two boxes are taken for the same face.
OVERLAP = 0.2


class Follower:
    """Keeps to one face. Pure logic: no picture, no clock of its own."""

    def __init__(
        self, *, patience: float = PATIENCE, overlap: float = OVERLAP, visible: float = 0.5
    ) -> None:
        """Set the rules.

        ``patience``: seconds; ``overlap``: intersection over union, 0 to 1; ``visible``: share of
        the landmarks, 0 to 1.
        """
        self._patience = patience
        self._overlap = overlap
        self._visible = visible
        self._last: Box | None = None
        self._seen_at = 0.0
        #: Tracks of the finder that were seen beside ours.
        self._others: set[int] = set()

    @property
    def following(self) -> bool:
        """Whether a face is followed, seen in the latest picture or not."""
        return self._last is not None

    def reset(self) -> None:
        """Forget the face: the next picture starts anew."""
        self._last = None
        self._others.clear()

    def choose(
        self, faces: Sequence[FaceObservation], time: float, width: int, height: int
    ) -> FaceObservation | None:
        """Return the followed face among ``faces``, or None if it is not there.

        ``time``: seconds, not before the previous call's. ``width``, ``height``: of the picture.
        """
        if self._last is not None and time - self._seen_at > self._patience:
            self.reset()
        candidates = [f for f in faces if visible_share(f, width, height) >= self._visible]
        chosen = self._same(candidates) if self._last else _largest(candidates)
        if chosen is not None:
            self._last = chosen.box
            self._seen_at = time
            self._others |= {f.track for f in faces if f.track is not None}
            self._others.discard(chosen.track)
        return chosen

    def _same(self, faces: Sequence[FaceObservation]) -> FaceObservation | None:
        assert self._last is not None
        last = self._last
        faces = [face for face in faces if face.track not in self._others]
        best = max(faces, key=lambda face: face.box.iou(last), default=None)
        return best if best is not None and best.box.iou(last) >= self._overlap else None


def visible_share(face: FaceObservation, width: int, height: int) -> float:
    """Return the share of landmarks inside a picture of ``width`` × ``height`` pixels, 0 to 1."""
    x, y = face.landmarks[:, 0], face.landmarks[:, 1]
    return float(((x >= 0) & (x < width) & (y >= 0) & (y < height)).mean())


def _largest(faces: Sequence[FaceObservation]) -> FaceObservation | None:
    return max(faces, key=lambda face: face.box.width * face.box.height, default=None)
