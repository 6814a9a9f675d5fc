# SPDX-License-Identifier: Apache-2.0
"""Losses by networks that look at faces: does the picture show what the person did, and whom?"""

from __future__ import annotations

import torch
import torch.nn.functional as nnf
from torch import Tensor

from talkcodec import weights
from talkcodec.metrics.identity import FaceNet
from talkcodec.models.tracker import SIDE
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS
from talkcodec.render.engine.torch import load_network

#: Pixels of the crop that FaceNet sees, and how much of the tracker's place it is.
_FACE_SIDE, _FACE_SHARE = 150, 0.85
#: Narrower than this, in crop widths, the eyes of a head turned aside would count for everything.
_LEAST_OCULAR = 0.14


class LandmarkLoss:
    """Distance of lips, lids and irises that the shipped tracker sees in two pictures.

    In inter-ocular distances. The judge of every report is another tracker.
    """

    def __init__(self) -> None:
        self._network = load_network(weights.path("tracker.safetensors").read_bytes())
        self._network.requires_grad_(requires_grad=False)
        self._points = sorted({*LIPS, *EYELIDS, *IRISES})

    def __call__(self, found: Tensor, wanted: Tensor, face: Tensor) -> Tensor:
        """``found``, ``wanted``: (B, 3, S, S) in 0 to 255; ``face``: (B, 2, 3), where to look."""
        self._network.to(found.device)
        with torch.no_grad():
            truth = self._landmarks(wanted, face)
        off = (self._landmarks(found, face) - truth)[:, self._points, :2]
        gap = (truth[:, IRISES[0], :2] - truth[:, IRISES[5], :2]).norm(dim=-1)
        distance: Tensor = off.norm(dim=-1).mean(1) / gap.clamp(min=_LEAST_OCULAR)
        return distance.mean()

    def _landmarks(self, pictures: Tensor, face: Tensor) -> Tensor:
        # Coordinates need more than the 8 bits of mantissa that bf16 leaves.
        with torch.autocast(pictures.device.type, enabled=False):
            landmarks, _ = self._network(cut(pictures, face, SIDE))
        assert isinstance(landmarks, Tensor)
        return landmarks


class IdentityLoss:
    """Distance of two pictures' descriptors; needs the identity score's weights."""

    def __init__(self) -> None:
        self._net = FaceNet()

    def __call__(self, found: Tensor, wanted: Tensor, face: Tensor) -> Tensor:
        """Return the mean distance; same person 0.2 to 0.3, different 0.85."""
        self._net.to(found.device)
        near = face.clone()
        near[:, :, :2] *= _FACE_SHARE
        with torch.autocast(found.device.type, enabled=False):
            with torch.no_grad():
                truth = self._net.describe(cut(wanted, near, _FACE_SIDE))
            off = self._net.describe(cut(found, near, _FACE_SIDE)) - truth
        return (off.square().sum(1) + 1e-8).sqrt().mean()


def cut(pictures: Tensor, face: Tensor, side: int) -> Tensor:
    """Return the squares ``face`` (B, 2, 3) of ``pictures`` (B, 3, S, S), (B, 3, side, side)."""
    size = [len(pictures), 3, side, side]
    grid = nnf.affine_grid(face, size, align_corners=False)
    return nnf.grid_sample(pictures, grid, "bilinear", "border", align_corners=False)
