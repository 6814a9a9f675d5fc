# SPDX-License-Identifier: Apache-2.0
"""The identity network: its arithmetic with random weights, its judgement with the real ones."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.errors import MissingDependency, WeightsError
from talkcodec.metrics import Clip, open_metrics
from talkcodec.metrics.weights import IDENTITY_MODEL, identity_folder
from talkcodec.types import U8

pytestmark = pytest.mark.needs("torch", "mediapipe")

BLOCKS = {
    "conv32_1": (32, 32), "conv32_2": (32, 32), "conv32_3": (32, 32),
    "conv64_down": (32, 64), "conv64_1": (64, 64), "conv64_2": (64, 64), "conv64_3": (64, 64),
    "conv128_down": (64, 128), "conv128_1": (128, 128), "conv128_2": (128, 128),
    "conv256_down": (128, 256), "conv256_1": (256, 256), "conv256_2": (256, 256),
    "conv256_down_out": (256, 256),
}  # fmt: skip


def shapes() -> dict[str, tuple[int, ...]]:
    convolutions = {"conv32_down": (7, 3, 32)}
    for name, (before, after) in BLOCKS.items():
        convolutions[f"{name}/conv1"] = (3, before, after)
        convolutions[f"{name}/conv2"] = (3, after, after)
    result: dict[str, tuple[int, ...]] = {}
    for name, (side, before, after) in convolutions.items():
        result[f"{name}/conv/filters"] = (side, side, before, after)
        for rest in ("conv/bias", "scale/weights", "scale/biases"):
            result[f"{name}/{rest}"] = (after,)
    return result | {"fc": (256, 128)}


def write_random_model(folder: Path) -> None:
    rng = np.random.default_rng(1)
    entries: list[dict[str, object]] = []
    data = b""
    for name, shape in shapes().items():
        raw = rng.integers(0, 256, shape, dtype=np.uint8)
        code = {"dtype": "uint8", "scale": 0.0004, "min": -0.05}
        if name == "conv64_down/conv1/conv/filters":  # the real file mixes precisions too
            data += ((raw - 128.0) * 0.0004).astype("<f4").tobytes()
            entries.append({"name": name, "shape": shape, "dtype": "float32"})
            continue
        data += raw.tobytes()
        entries.append({"name": name, "shape": shape, "quantization": code})
    manifest = json.dumps([{"weights": entries, "paths": [f"{IDENTITY_MODEL}.bin"]}])
    (folder / f"{IDENTITY_MODEL}-weights_manifest.json").write_text(manifest)
    (folder / f"{IDENTITY_MODEL}.bin").write_bytes(data)


def test_a_model_of_the_right_shapes_describes_faces(tmp_path: Path, portrait: U8) -> None:
    from talkcodec.metrics.identity import FaceNet

    write_random_model(tmp_path)
    crop = np.asarray(cv2.resize(portrait, (150, 150)), np.uint8)
    descriptors = FaceNet(tmp_path)([crop, 255 - crop, crop])
    assert descriptors.shape == (3, 128)
    assert np.isfinite(descriptors).all()
    np.testing.assert_allclose(descriptors[0], descriptors[2], atol=1e-6)
    assert np.abs(descriptors[0] - descriptors[1]).max() > 0


def test_a_model_of_another_length_is_refused(tmp_path: Path) -> None:
    from talkcodec.metrics.identity import read_model

    write_random_model(tmp_path)
    path = tmp_path / f"{IDENTITY_MODEL}.bin"
    data = path.read_bytes()
    path.write_bytes(data + b"\0")
    with pytest.raises(WeightsError, match="found 1 bytes more"):
        read_model(tmp_path)
    path.write_bytes(data[:-1])
    with pytest.raises(WeightsError):
        read_model(tmp_path)
    path.unlink()
    with pytest.raises(MissingDependency, match=r"talkcodec\.metrics\.fetch"):
        read_model(tmp_path)


@pytest.mark.skipif(
    not identity_folder().is_dir(), reason="identity model absent: make metrics-weights"
)
def test_blur_changes_a_person_less_than_another_face_does(
    portrait: U8, worse: dict[str, list[Clip]]
) -> None:
    suite = open_metrics(["identity"])
    scorer = suite.against(Clip([portrait], Fraction(25)))
    same = scorer.score(worse["blur"][1])["identity"][0]
    squeezed = cv2.resize(portrait, None, fx=0.6, fy=1)
    other = np.asarray(cv2.resize(squeezed[:, ::-1], (256, 256)), np.uint8)
    assert 0 < same < 0.45
    assert scorer.score(Clip([255 - other], Fraction(25)))["identity"][0] > same
