# SPDX-License-Identifier: Apache-2.0
"""Is it still the same person? Distance of face descriptors by dlib's ResNet-34.

Weights: ``face_recognition_model`` of the npm package ``@vladmandic/face-api`` (MIT), put into the
user's cache by ``python -m talkcodec.metrics.fetch``; nothing is fetched here. Two pictures of one
person are 0.2 to 0.35 apart, of two persons about 0.85; 0.6 is the usual border.
"""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor

from talkcodec.errors import WeightsError
from talkcodec.metrics.base import Clip, Column, Scores, check_pair
from talkcodec.metrics.face import open_judge, track
from talkcodec.metrics.weights import IDENTITY_MODEL, identity_files, identity_folder
from talkcodec.types import F32, F64, U8

_SIDE = 150
_MEAN = (122.782, 117.001, 104.298)
#: Residual blocks in order; those that end in "down…" halve the picture.
_BLOCKS = (
    *("conv32_1", "conv32_2", "conv32_3", "conv64_down", "conv64_1", "conv64_2", "conv64_3"),
    *("conv128_down", "conv128_1", "conv128_2", "conv256_down", "conv256_1", "conv256_2"),
    "conv256_down_out",
)
_MOUTH = (61, 291, 13, 14)
_EYES = ((33, 133), (362, 263))


def read_model(folder: Path) -> dict[str, F32]:
    """Read the manifest and its weights, of 8 bits mostly, as float32 arrays by name."""
    described, weights = identity_files(folder)
    manifest, data = json.loads(described.read_bytes()), weights.read_bytes()
    arrays: dict[str, F32] = {}
    for entry in (entry for group in manifest for entry in group["weights"]):
        code = entry.get("quantization", {"dtype": "float32", "scale": 1, "min": 0})
        stored = np.dtype(code["dtype"]).newbyteorder("<")
        used = int(np.prod(entry["shape"])) * stored.itemsize
        if used > len(data):
            raise WeightsError(f"expected {used} bytes for {entry['name']}, found {len(data)}")
        raw, data = np.frombuffer(data[:used], stored), data[used:]
        values = raw.astype(np.float32) * np.float32(code["scale"]) + np.float32(code["min"])
        arrays[entry["name"]] = values.reshape(entry["shape"])
    if data:
        raise WeightsError(f"expected {IDENTITY_MODEL}.bin to end, found {len(data)} bytes more")
    return arrays


class FaceNet:
    """Face crops to descriptors of 128 numbers."""

    def __init__(self, folder: Path | None = None) -> None:
        arrays = read_model(folder or identity_folder())
        self._weights = {name: torch.from_numpy(array) for name, array in arrays.items()}

    def to(self, device: torch.device) -> None:
        """Compute on ``device`` from now on."""
        self._weights = {name: array.to(device) for name, array in self._weights.items()}

    @torch.inference_mode()
    def __call__(self, crops: list[U8]) -> F64:
        """Describe uint8 (150, 150, 3) RGB crops; returns float64 (n, 128)."""
        x = torch.from_numpy(np.stack(crops)).float().permute(0, 3, 1, 2)
        descriptors: F64 = self.describe(x).double().numpy()
        return descriptors

    def describe(self, crops: Tensor) -> Tensor:
        """Describe crops (n, 3, 150, 150) in 0 to 255; returns float32 (n, 128)."""
        x = (crops - torch.tensor(_MEAN, device=crops.device).view(1, 3, 1, 1)) / 255
        x = nnf.max_pool2d(nnf.relu(self._conv(x, "conv32_down", 2)), 3, 2)
        for name in _BLOCKS:
            x = self._block(x, name, 2 if "down" in name else 1)
        return x.mean((2, 3)) @ self._weights["fc"]

    def _conv(self, x: Tensor, name: str, stride: int) -> Tensor:
        w = self._weights
        kernel = w[f"{name}/conv/filters"].permute(3, 2, 0, 1)
        x = nnf.conv2d(x, kernel, w[f"{name}/conv/bias"], stride, "valid" if stride == 2 else 1)
        scale, shift = w[f"{name}/scale/weights"], w[f"{name}/scale/biases"]
        return x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

    def _block(self, x: Tensor, name: str, stride: int) -> Tensor:
        out = self._conv(nnf.relu(self._conv(x, f"{name}/conv1", stride)), f"{name}/conv2", 1)
        if stride == 2:
            x = nnf.avg_pool2d(x, 2)
            # Where "valid" convolution lost a row, and where channels doubled, zeros fill up.
            out = nnf.pad(out, (0, x.shape[3] - out.shape[3], 0, x.shape[2] - out.shape[2]))
            x = nnf.pad(x, (0, 0, 0, 0, 0, out.shape[1] - x.shape[1]))
        return nnf.relu(out + x)


def face_crop(picture: U8, landmarks: F32) -> U8:
    """Cut the square that the network was trained on, uint8 (150, 150, 3).

    Its side is the eye–mouth distance over 0.45, its centre a little above theirs.
    """
    eyes = [landmarks[list(corners), :2].mean(0) for corners in _EYES]
    mouth = landmarks[list(_MOUTH), :2].mean(0)
    side = np.mean([np.linalg.norm(eye - mouth) for eye in eyes]) / 0.45
    left, top = np.mean([*eyes, mouth], axis=0) - side * np.array([0.5, 0.43])
    scale = _SIDE / side
    matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    crop = cv2.warpAffine(picture, matrix, (_SIDE, _SIDE), borderMode=cv2.BORDER_REPLICATE)
    return crop.astype(np.uint8, copy=False)


class Identity:
    """Euclidean distance of descriptors, both cut out where the source's face is."""

    name = "identity"
    columns = (Column("identity", "", lower_is_better=True),)
    whole = False

    def __init__(self) -> None:
        self._net = FaceNet()
        self._tracker = open_judge()

    def against(self, source: Clip) -> IdentityScorer:
        return IdentityScorer(self._net, source, track(source, self._tracker))


class IdentityScorer:
    """Identity distance against one source with known landmarks."""

    def __init__(self, net: FaceNet, source: Clip, landmarks: list[F32 | None]) -> None:
        self._net = net
        self._source = source
        self._landmarks = landmarks
        self._wanted = self._describe(source)

    def score(self, output: Clip) -> Scores:
        check_pair(self._source, output)
        found = self._describe(output)
        return {"identity": np.linalg.norm(self._wanted - found, axis=1)}

    def _describe(self, clip: Clip) -> F64:
        """Return float64 (n, 128), NaN rows where the source shows no face."""
        result = np.full((len(clip.frames), 128), np.nan)
        for index, (frame, landmarks) in enumerate(zip(clip.frames, self._landmarks, strict=True)):
            if landmarks is not None:
                result[index] = self._net([face_crop(frame, landmarks)])[0]
        return result
