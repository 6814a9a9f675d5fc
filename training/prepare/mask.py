# SPDX-License-Identifier: Apache-2.0
"""Where the person is: MediaPipe's selfie segmentation, run by LiteRT.

The network (Apache-2.0, 0.25 MB) comes from the npm package ``@mediapipe/selfie_segmentation``;
``make teacher-weights`` puts it into the user's cache. Nothing is fetched here. 2 to 5 ms a frame.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcodec.errors import MissingDependency
from talkcodec.face.quiet import quiet_native_log
from talkcodec.metrics.weights import cache_dir
from talkcodec.types import U8
from training.prepare.labels import MASK_SIDE

MODEL = "selfie_segmentation.tflite"
_RUNTIME = "ai-edge-litert==2.3.0"
_SIDE = 256  # of the network's input and output


def mask_folder() -> Path:
    """Return where the fetched network lies (or would)."""
    return cache_dir() / "selfie-segmentation-0.1.1675465747"


def check_mask_teacher() -> Path:
    """Return the network's file if it and its runtime are there.

    Raises:
        MissingDependency: one of them is not.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise MissingDependency(f"expected the package {_RUNTIME} (or --no-mask), found none")
    path = mask_folder() / MODEL
    if not path.is_file():
        raise MissingDependency(
            f"expected {MODEL} in {path.parent}, found none: make teacher-weights, or --no-mask"
        )
    return path


class PersonMask:
    """Pictures of a person to masks.

    Raises:
        MissingDependency: the network or its runtime is not installed.
    """

    def __init__(self) -> None:
        path = check_mask_teacher()
        with quiet_native_log():
            from ai_edge_litert.interpreter import Interpreter

            self._net: Any = Interpreter(str(path), num_threads=1)
            self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]["index"]
        self._output = self._net.get_output_details()[0]["index"]

    def __call__(self, picture: U8) -> U8:
        """Return the mask of ``picture``, uint8 (256, 256, 3) RGB: uint8 (64, 64), 255 inside."""
        self._net.set_tensor(self._input, picture[None].astype(np.float32) / np.float32(255))
        self._net.invoke()
        share = self._net.get_tensor(self._output).reshape(_SIDE, _SIDE)
        small = cv2.resize(share, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_AREA)
        return np.asarray(np.rint(np.clip(small, 0, 1) * 255), np.uint8)
