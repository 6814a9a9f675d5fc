# SPDX-License-Identifier: Apache-2.0
"""What the sender sees of its own result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from talkcodec.analysis import Analyst, Foresight
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.render.layer import AFFINE
from talkcodec.types import Frame
from tests.test_encoder_decoder import RATE, KnownFace, landmarks_at, picture_at


def test_a_layer_that_pulls_bars_off_the_references_edge_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shoulders rise from below the edge by the stream's layer, not by the head's motion."""
    asked: list[tuple[Analyst, Any, Any, Any]] = []
    foresee = Analyst.foresee

    def noted(analyst: Analyst, sample: Any, drawing: Any, choice: Any) -> Foresight:
        asked.append((analyst, sample, drawing, choice))
        return foresee(analyst, sample, drawing, choice)

    monkeypatch.setattr(Analyst, "foresee", noted)
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace([landmarks_at(i) for i in range(12)]))
    for index in range(12):
        encoder.encode(Frame(picture_at(index), index, 1 / RATE))
    analyst, sample, drawing, choice = asked[-1]
    values = np.array([0, 0, 0, 120, 0, 0], np.float32)
    still, pulled = (
        foresee(analyst, sample, replace(drawing, layers=layers), choice)
        for layers in ((), ((AFFINE, values),))
    )
    assert still.torn < 0.001
    assert pulled.torn > 0.02
    assert pulled.error > still.error
