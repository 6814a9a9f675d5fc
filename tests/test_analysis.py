# SPDX-License-Identifier: Apache-2.0
"""What the sender sees of its own result."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from talkcodec.analysis import Analyst, Foresight, LayerConfig
from talkcodec.bitstream import FlowLayer
from talkcodec.encoder import Encoder, EncoderConfig, GroupTrace
from talkcodec.render.layer import AFFINE
from talkcodec.types import Frame
from tests.test_encoder_decoder import RATE, KnownFace, landmarks_at, picture_at


def test_a_layer_that_pulls_bars_off_the_references_edge_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Shoulders rise from below the edge by the stream's layer, not by the head's motion."""
    asked: list[tuple[Analyst, Any, Any]] = []
    foresee = Analyst.foresee

    def noted(analyst: Analyst, sample: Any, drawing: Any) -> Foresight:
        asked.append((analyst, sample, drawing))
        return foresee(analyst, sample, drawing)

    monkeypatch.setattr(Analyst, "foresee", noted)
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace([landmarks_at(i) for i in range(12)]))
    for index in range(12):
        encoder.encode(Frame(picture_at(index), index, 1 / RATE))
    analyst, sample, drawing = asked[-1]
    values = np.array([0, 0, 0, 120, 0, 0], np.float32)
    still, pulled = (
        foresee(analyst, sample, replace(drawing, layers=layers))
        for layers in ((), ((AFFINE, values),))
    )
    assert still.torn < 0.001
    assert pulled.torn > 0.02
    assert pulled.error > still.error


@pytest.mark.parametrize(("tears", "moved"), [(0.0, [1]), (20.0, [])])
def test_a_layer_that_tears_must_bring_more(
    tears: float, moved: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that is not the face rises, and what comes up from below, no warp can show."""
    before = picture_at(0)
    strange = np.random.default_rng(2).integers(0, 256, (40, 256, 3), dtype=np.uint8)
    after = np.concatenate([before[40:], strange])
    pull = FlowLayer(AFFINE, np.array([0, 0, 0, 80, 0, 0], np.int32))
    monkeypatch.setattr(Analyst, "_candidates", lambda *_, **__: [pull])
    layers = LayerConfig(tears=tears)
    face = KnownFace([landmarks_at(0)] * 6)
    traced: list[GroupTrace] = []
    encoder = Encoder(EncoderConfig(startup=0.0, layers=layers), face, trace=traced.append)
    for index in range(6):
        encoder.encode(Frame(after if index >= 3 else before, index, 1 / RATE))
    assert [i for i, trace in enumerate(traced) if trace.group.flow is not None] == moved
