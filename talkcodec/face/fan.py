# SPDX-License-Identifier: Apache-2.0
"""face-alignment's network (FAN): 68 points, expanded to 478.

The package fetches its own networks at first use into torch.hub's cache, and uses what is there;
nothing of that is ours. Its depth network is not used: the checkpoint is a pickle that torch
refuses to read safely, and the fitted shape gives depth anyway. More than 1.6 s a face on a CPU,
so this is for machines with a GPU and for comparison, not for calls on small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from talkcodec.errors import MissingDependency, reason
from talkcodec.face.expand import expand_sparse
from talkcodec.types import F32, F64, U8, Box, FaceObservation
from talkcodec.weights import shape_model

_SIDE = 256  # of the crop that the network sees
_HEATMAP = 64  # side of its heat maps
_REFERENCE = 195.0  # box side at which the crop is 200 pixels of the picture wide
_LIFT = 0.12  # the crop's centre lies above the box's, in box heights

#: The detector's surest boxes that are looked at: each costs more than a second.
MOST_FACES = 3

#: Mean peak of the heat maps below which there is no face at the place looked at.
MINIMUM_SCORE = 0.2


class FaceAlignmentFinder:
    """A ``FaceFinder`` that looks where the face was last, else where a detector says.

    ``start``: box of the face in the first picture, brow to chin. Without it the package's own
    detector (S3FD) is loaded, and fetched if torch.hub's cache does not hold it.
    """

    def __init__(
        self,
        *,
        start: Box | None = None,
        device: str = "cpu",
        minimum_score: float = MINIMUM_SCORE,
    ) -> None:
        self._start = start
        self._device = device
        self._minimum_score = minimum_score
        self._network = _load_network(device)
        self._detect = _load_detector(device) if start is None else None
        self._boxes: list[Box] = [start] if start else []

    def find(self, picture: U8, time: float) -> list[FaceObservation]:  # noqa: ARG002 (protocol)
        boxes = self._boxes
        if not boxes and self._detect is not None:
            boxes = self._detect(picture)
        elif not boxes and self._start is not None:
            boxes = [self._start]
        faces = [face for box in boxes if (face := self._look(picture, box))]
        self._boxes = [_tight(face) for face in faces]
        return faces

    def reset(self) -> None:
        self._boxes = []

    def close(self) -> None:
        self._boxes = []

    def _look(self, picture: U8, box: Box) -> FaceObservation | None:
        """Run the network at ``box`` and expand what it finds; None below the minimum score."""
        side = 200.0 * (box.width + box.height) / _REFERENCE
        if side < 4:
            return None
        middle, height = box.centre
        to_crop = _similarity(middle, height - _LIFT * box.height, side)
        crop = cv2.warpAffine(picture, to_crop, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR)
        heat = self._run(np.asarray(crop, dtype=np.uint8))
        points, score = peaks(heat)
        if score < self._minimum_score:
            return None
        zoom = side / _HEATMAP
        corner = np.array([middle - side / 2, height - _LIFT * box.height - side / 2])
        landmarks = expand_sparse(points * zoom + corner, shape_model())
        return FaceObservation(landmarks, confidence=min(score, 1.0), box=_bounds(landmarks))

    def _run(self, crop: U8) -> F32:
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(crop.transpose(2, 0, 1)[None].astype(np.float32) / 255.0)
            out = self._network(batch.to(self._device))
            last = out[-1] if isinstance(out, list) else out
            return np.asarray(last[0].float().cpu().numpy(), dtype=np.float32)


def peaks(heat: F32) -> tuple[F64, float]:
    """Return where heat maps (68, 64, 64) are highest, and how high on average.

    Points: float64 (68, 2), x and y in heat-map pixels, moved a quarter pixel towards the higher
    neighbour, as the network was trained.
    """
    count, rows, columns = heat.shape
    flat = heat.reshape(count, -1)
    index = flat.argmax(1)
    y, x = np.divmod(index, columns)
    inner_x, inner_y = np.clip(x, 1, columns - 2), np.clip(y, 1, rows - 2)
    each = np.arange(count)
    slope_x = np.sign(heat[each, y, inner_x + 1] - heat[each, y, inner_x - 1])
    slope_y = np.sign(heat[each, inner_y + 1, x] - heat[each, inner_y - 1, x])
    points = np.stack([x + 0.5 + 0.25 * slope_x, y + 0.5 + 0.25 * slope_y], axis=1)
    return points.astype(np.float64), float(flat.max(1).mean())


def _similarity(x: float, y: float, side: float) -> F64:
    """Return the (2, 3) map from the picture to the crop of width ``side`` about (x, y)."""
    zoom = _SIDE / side
    return np.array([[zoom, 0, _SIDE / 2 - zoom * x], [0, zoom, _SIDE / 2 - zoom * y]])


def _bounds(landmarks: F32) -> Box:
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))


def _tight(face: FaceObservation) -> Box:
    """Return the box to look at next: brow to chin, as detectors draw it."""
    box = face.box
    return Box(box.left, box.top + 0.2 * box.height, box.right, box.bottom)


def _load_network(device: str) -> Any:
    """Return FAN-4 for 3-D points, from torch.hub's cache or fetched by the package.

    Raises:
        MissingDependency: torch or face-alignment is not installed, or the network cannot be had.
    """
    try:
        import torch
        from face_alignment.api import FAN, load_file_from_url, models_urls
    except ImportError as error:
        raise MissingDependency(
            f"expected the packages torch and face-alignment==1.5.0, found no {error.name}"
        ) from None
    with _fetching():
        file = load_file_from_url(models_urls["3DFAN-4"])
    network = FAN(4)
    network.load_state_dict(torch.load(file, map_location=device, weights_only=True))
    return network.to(device).eval()


@contextmanager
def _fetching() -> Iterator[None]:
    """Tell in one line that what torch.hub's cache does not hold cannot be fetched either."""
    try:
        yield
    except OSError as error:
        raise MissingDependency(
            "expected the networks of face-alignment, fetched at their first use, found "
            f"{reason(error)}"
        ) from None


def _load_detector(device: str) -> Callable[[U8], list[Box]]:
    from face_alignment.detection.sfd import FaceDetector

    with _fetching():
        detector = FaceDetector(device=device)

    def detect(picture: U8) -> list[Box]:
        found = detector.detect_from_image(picture)[:MOST_FACES]
        return [Box(*map(float, box[:4])) for box in found]

    return detect
