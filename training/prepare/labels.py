# SPDX-License-Identifier: Apache-2.0
"""What the teacher says of a passage, and how that is stored.

Landmarks of a face change little from frame to frame, so differences in 1/32 pixel are stored,
which deflate packs to a quarter of float32 (1.3 instead of 5.3 kB a frame on a lip-reading clip);
the rounding moves a point by at most 1/64 pixel, a thirtieth of a teacher's jitter. Masks are
stored as differences of 16 levels, 0.16 instead of 0.48 kB a frame.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from talkcodec.errors import InputError
from talkcodec.types import F32, I32, LANDMARKS, U8, Bool

#: Blendshapes of a frame.
BLENDSHAPES = 52
#: Side of a stored person mask.
MASK_SIDE = 64

_STEPS = 32  # of landmarks, a pixel
_REACH = 500.0  # pixels that a landmark may lie away from the origin: int16 holds twice that
_LEVEL = 17  # of masks: 16 levels from 0 to 255


@dataclass(frozen=True, slots=True)
class PassageLabels:
    """T frames of a 256² crop.

    ``ticks``: int32 (T,), when each is shown, in units of the passage's time base.
    ``found``: bool (T,), whether the teacher saw the face; where not, the rest is 0.
    ``landmarks``: float32 (T, 478, 3) in pixels of the 256² crop.
    ``blendshapes``: float32 (T, 52), 0 to 1. ``pose``: float32 (T, 4, 4), the canonical face in
    centimetres to MediaPipe's camera. ``mask``: uint8 (T, 64, 64), 255 on the person, or None.
    """

    ticks: I32
    found: Bool
    landmarks: F32
    blendshapes: F32
    pose: F32
    mask: U8 | None

    def __len__(self) -> int:
        return len(self.ticks)


def pack(labels: PassageLabels) -> bytes:
    """Return ``labels`` as the bytes of an npz file; the same for the same labels."""
    still = _hold(labels.landmarks, labels.found)
    steps = np.rint(np.clip(still, -_REACH, _REACH) * _STEPS).astype(np.int16)
    arrays = {
        "ticks": labels.ticks.astype(np.int32),
        "found": labels.found.astype(np.bool_),
        "landmarks_delta": np.diff(steps, axis=0, prepend=np.zeros_like(steps[:1])),
        "blendshapes": labels.blendshapes.astype(np.float16),
        "pose": labels.pose.astype(np.float32),
    }
    if labels.mask is not None:
        levels = ((labels.mask.astype(np.uint16) + _LEVEL // 2) // _LEVEL).astype(np.uint8)
        arrays["mask_delta"] = np.diff(levels, axis=0, prepend=np.zeros_like(levels[:1]))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack(data: bytes) -> PassageLabels:
    """Return the labels that ``pack`` stored, landmarks rounded to 1/32 pixel.

    Raises:
        InputError: ``data`` is no such file.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        found = np.asarray(arrays["found"], np.bool_)
        # Sums wrap as the differences did.
        steps = np.cumsum(arrays["landmarks_delta"], axis=0, dtype=np.int16)
        levels = None
        if "mask_delta" in arrays:
            levels = np.cumsum(arrays["mask_delta"], axis=0, dtype=np.uint8)
        labels = PassageLabels(
            np.asarray(arrays["ticks"], np.int32),
            found,
            (steps.astype(np.float32) / np.float32(_STEPS)) * found[:, None, None],
            arrays["blendshapes"].astype(np.float32),
            np.asarray(arrays["pose"], np.float32),
            None if levels is None else levels * np.uint8(_LEVEL),
        )
    except Exception as error:  # noqa: BLE001  zipfile, zlib and NumPy have a dozen for damage
        told = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"expected the labels of a passage, found {told}") from None
    _check(labels)
    return labels


def _check(labels: PassageLabels) -> None:
    count = len(labels.ticks)
    shapes = {
        "found": (labels.found.shape, (count,)),
        "landmarks": (labels.landmarks.shape, (count, LANDMARKS, 3)),
        "blendshapes": (labels.blendshapes.shape, (count, BLENDSHAPES)),
        "pose": (labels.pose.shape, (count, 4, 4)),
    }
    if labels.mask is not None:
        shapes["mask"] = (labels.mask.shape, (count, MASK_SIDE, MASK_SIDE))
    for name, (found, expected) in shapes.items():
        if found != expected:
            raise InputError(f"expected {name} of shape {expected}, found {found}")


def _hold(landmarks: F32, found: Bool) -> F32:
    """Repeat the last seen landmarks where none were found: no difference costs least."""
    seen = np.where(found, np.arange(len(found)), -1)
    last = np.maximum.accumulate(seen)
    return np.where((last >= 0)[:, None, None], landmarks[np.maximum(last, 0)], np.float32(0))
