# SPDX-License-Identifier: Apache-2.0
"""A stream coded with the shipped tables: its integers, and the landmarks that they mean.

``TALKCODEC_REGENERATE=1 pytest tests/bitstream/test_shipped_vectors.py`` writes it anew, as new
bases or tables of motion make necessary. What the numbers mean is computed here a second time,
from section 12 of FORMAT.md.
"""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.numpy import load_file

from talkcodec import weights
from talkcodec.bitstream import (
    FlowLayer,
    MotionGroup,
    Reference,
    StreamHeader,
    TkcReader,
    coarse_copy,
    decode_group,
    encode_group,
    to_quantiser,
)
from talkcodec.bitstream.samples import whole_file
from talkcodec.decoder import DecodedState, Decoder
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.reference.codec import CodecId, open_encoder
from talkcodec.render.geometric import GeometricRenderer, ReferenceView, Target
from talkcodec.types import F64, I32
from tests.bitstream.test_golden import GOLDEN, motion_as_json, reference_as_json, write_vectors

#: Of each frame: nose, forehead, chin, corners of eyes and mouth, irises with the right and the
#: left one's edge.
_SHOWN = (1, 10, 152, 33, 263, 61, 291, 468, 473, 469, 477)
_MULTIPLIERS = (8, 12, 16, 24)
_OVAL = [
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
]  # fmt: skip


def make_packets() -> list[bytes]:
    """Return a stream of the recorded motion, and at its end what no face does."""
    model, track, tables = weights.shape_model(), Track.load(), weights.tables()
    identity = fit_identity(model, track.portrait)
    neutral = neutral_shape(model, identity)
    rest = fit_state(model, neutral, track.portrait)
    moved = rest + track.states(model, float(np.exp(rest[5])))
    finest: I32 = np.rint(moved / model.steps).astype(np.int32)
    coder = open_encoder(CodecId.AV1, 256)
    numbers, state = tuple(identity.tolist()), tuple(finest[0].tolist())
    pictures = [coder.encode(portrait_picture(256), key=key).data for key in (True, False)]
    window, codec = (4, 8, 484, 488), int(CodecId.AV1)
    first = Reference(0, 0, True, 0, state, numbers, window, codec, pictures[0])
    second = Reference(1, 1, False, 12, tuple(finest[12].tolist()), None, None, codec, pictures[1])
    header = StreamHeader(256, Fraction(25), tables.hash, max_bank=4)

    def group(tick: int, count: int, quantiser: int, reference: Reference = first) -> MotionGroup:
        rows = [to_quantiser(row.tolist(), quantiser) for row in finest[tick : tick + count]]
        gaps = (1,) * (count - 1)
        return MotionGroup(tick, gaps, reference.sequence, quantiser, np.array(rows, np.int32))

    def layer(mode: int) -> FlowLayer:
        values = np.random.default_rng(mode).integers(-4, 5, tables.flow[mode])
        return FlowLayer(mode, values.astype(np.int32))

    def motion(group: MotionGroup, reference: Reference = first) -> bytes:
        return encode_group(group, reference.state, tables)

    opening = replace(group(0, 4, 0), flow=layer(2))
    copying = group(4, 3, 1)
    copying = replace(copying, redundant=coarse_copy([opening], copying))
    still = np.stack([finest[0]] * 4)
    # Beyond 4000 steps, e to the 7, and 2048 units.
    wild = np.stack([np.where(np.arange(34) == 5, 6000, finest[12]), np.full(34, 20000)])
    return [
        header.serialize(),
        first.serialize(),
        motion(opening),
        motion(copying),
        motion(replace(group(7, 2, 2), flow=layer(1))),
        motion(replace(group(9, 1, 3), flow=layer(4))),
        second.serialize(),
        motion(replace(group(12, 2, 0, second), flow=layer(3)), second),
        motion(MotionGroup(14, (2**14,) * 3, 0, 0, still)),
        motion(group(100, 1, 0)),
        motion(MotionGroup(103, (1,), 1, 0, wild.astype(np.int32)), second),
    ]


def landmarks(row: list[int], quantiser: int, identity: list[int]) -> F64:
    """Section 12, from the integers of a frame and of the identity to its landmarks (478, 3)."""
    tensors = {
        name: tensor.astype(np.float64)
        for name, tensor in load_file(weights.FOLDER / "motion.safetensors").items()
    }
    bounded = np.clip(np.array(row, np.float64), -4000, 4000)
    state = bounded * _MULTIPLIERS[quantiser] / 8 * tensors["steps"]
    shape = tensors["mean"].copy()
    for value, step, base in zip(
        identity, tensors["identity_steps"], tensors["identity"], strict=True
    ):
        shape += value * step * base
    for value, base in zip(state[10:], tensors["expression"], strict=True):
        shape += value * base
    shape[468:473, :2] += state[6:8] - state[8:10]
    shape[473:478, :2] += state[6:8] + state[8:10]
    angle = float(np.linalg.norm(state[:3]))
    axis = state[:3] / max(angle, 1e-12)
    once = np.cross(axis, shape)
    turned = shape + np.sin(angle) * once + (1 - np.cos(angle)) * np.cross(axis, once)
    placed = np.exp(min(state[5], 7)) * turned + np.array([*state[3:5], 0])
    return np.asarray(np.clip(placed, -2048, 2048), np.float64)


def shown(points: F64) -> list[list[float]]:
    return [[round(value, 3) for value in points[index].tolist()] for index in _SHOWN]


@pytest.fixture(scope="module", autouse=True)
def _regenerate() -> None:
    if not os.environ.get("TALKCODEC_REGENERATE"):
        return
    packets = make_packets()
    (GOLDEN / "shipped.tkc").write_bytes(whole_file(packets))
    references, groups = read()
    model = weights.shape_model()
    neutral = neutral_shape(model, references[0].identity or ())
    frames = [
        {"tick": state.tick, "places": shown(model.expand(neutral, state.drawing.state))}
        for state in drawable()
        if state.fresh
    ]
    content = {
        "table_hash": weights.tables().hash.hex(),
        "header": {"size": 256, "tick_rate": [25, 1], "max_bank": 4, "tick": 0},
        "references": [reference_as_json(reference) for reference in references],
        "motion": [motion_as_json(group) for group in groups],
        "landmarks": list(_SHOWN),
        "frames": frames,
    }
    write_vectors(GOLDEN / "shipped.json", content)


def reader() -> TkcReader:
    return TkcReader(io.BytesIO((GOLDEN / "shipped.tkc").read_bytes()))


def read() -> tuple[list[Reference], list[MotionGroup]]:
    references: list[Reference] = []
    groups = []
    for packet in reader():
        if packet.kind == "reference":
            references.append(Reference.parse(packet.data))
        elif packet.kind == "motion":
            states = {reference.sequence: reference.state for reference in references}
            groups.append(decode_group(packet.data, states, weights.tables(), packet.tick))
    return references, groups


def drawable() -> list[DecodedState]:
    decoder = Decoder(renderer="geometric")
    return [state for packet in reader() for state in decoder.receive(packet.data)]


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((GOLDEN / "shipped.json").read_text(encoding="utf-8"))
    return content


def test_the_stream_decodes_to_the_golden_integers(expected: dict[str, Any]) -> None:
    references, groups = read()
    assert expected["table_hash"] == weights.tables().hash.hex(), "new tables: see above"
    assert [reference_as_json(reference) for reference in references] == expected["references"]
    assert [motion_as_json(group) for group in groups] == expected["motion"]
    assert {group.flow.mode for group in groups if group.flow} == {1, 2, 3, 4}
    ticks = [tick for group in groups for tick in group.ticks]
    assert [state.tick for state in drawable() if state.fresh] == ticks


def test_the_integers_mean_the_golden_landmarks(expected: dict[str, Any]) -> None:
    identity = expected["references"][0]["identity"]
    frames = [
        (tick, landmarks(row, group["quantiser"], identity))
        for group in expected["motion"]
        for tick, row in zip(group["ticks"], group["states"], strict=True)
    ]
    assert [tick for tick, _ in frames] == [frame["tick"] for frame in expected["frames"]]
    for (_, points), frame in zip(frames, expected["frames"], strict=True):
        assert points[expected["landmarks"]] == pytest.approx(np.array(frame["places"]), abs=2e-3)
    last = np.array(expected["frames"][-1]["places"])
    assert np.abs(last).max() == 2048


def test_the_package_draws_the_golden_landmarks(expected: dict[str, Any]) -> None:
    model = weights.shape_model()
    neutral = neutral_shape(model, tuple(expected["references"][0]["identity"]))
    fresh = [state for state in drawable() if state.fresh]
    for state, frame in zip(fresh, expected["frames"], strict=True):
        found = model.expand(neutral, state.drawing.state)[expected["landmarks"]]
        assert found == pytest.approx(np.array(frame["places"]), abs=2e-3)


def layer_of(mode: int, values: list[int], x: F64, y: F64) -> F64:
    """Section 12, the flow layer at places x, y (n,), canvas units: (n, 2)."""
    x, y = x / 256, y / 256
    functions = [np.ones_like(x), np.sqrt(3) * (2 * x - 1), np.sqrt(3) * (2 * y - 1)]
    if mode > 1:
        count = 2 * mode
        functions = [
            np.cos(np.pi * i * y) * np.cos(np.pi * j * x) * np.sqrt(2) ** ((i > 0) + (j > 0))
            for i in range(count)
            for j in range(count)
        ]
    half = len(functions)
    parts = [np.array(values[:half]), np.array(values[half:])]
    return np.stack([0.5 * part @ np.array(functions) for part in parts], 1)


@pytest.mark.parametrize("mode", [1, 2, 3, 4])
def test_a_layer_bends_the_flow_as_the_document_says(expected: dict[str, Any], mode: int) -> None:
    model = weights.shape_model()
    group = next(g for g in expected["motion"] if g["flow"] and g["flow"][0] == mode)
    values = group["flow"][1:]
    state = next(s for s in drawable() if s.fresh and s.tick == group["ticks"][-1])
    neutral = neutral_shape(model, tuple(expected["references"][0]["identity"]))
    target = Target.make(state.drawing.state, neutral, model)
    rest = Target.make(target.state * np.where(np.arange(34) < 3, 0.5, 1.0), neutral, model)
    view = ReferenceView.make(portrait_picture(256), rest.state, neutral, model)
    renderer = GeometricRenderer(model, weights.topology())
    base = renderer.flow(target, view).field
    bent = renderer.flow(target, view, ((mode, np.array(values, np.float32)),)).field
    places = np.asarray(2 * np.indices((128, 128)) + 1, np.float64)
    y, x = places.reshape(2, -1)
    hull = cv2.convexHull(target.landmarks[_OVAL, :2].astype(np.float32))
    signed = [-cv2.pointPolygonTest(hull, place, True) for place in zip(x, y, strict=True)]
    height = np.ptp(target.landmarks[_OVAL, 1])
    near: F64 = np.maximum(np.array(signed), 0) / (height / 10)
    weight = np.minimum(near, 1)[:, None]
    told = (weight * layer_of(mode, values, x, y)).reshape(128, 128, 2)
    # The grid of the flow has two units a cell, and the oval is rounded to it.
    apart = np.abs(bent - base - told).max(2)
    full = (weight == 1).reshape(128, 128)
    assert full.sum() > 3000
    assert apart[cv2.erode(full.astype(np.uint8), np.ones((5, 5))) > 0].max() < 1e-3
    inside = (weight == 0).reshape(128, 128)
    assert np.abs(bent - base)[cv2.erode(inside.astype(np.uint8), np.ones((5, 5))) > 0].max() == 0
    assert apart.max() < 0.3 * np.abs(told).max()


def test_the_flow_leads_from_the_frame_to_its_reference(expected: dict[str, Any]) -> None:
    """A landmark of the frame is drawn from where the reference has the same."""
    model, identity = weights.shape_model(), tuple(expected["references"][0]["identity"])
    neutral = neutral_shape(model, identity)
    reference = np.array(expected["references"][0]["state"]) * model.steps
    moved = reference.copy()
    moved[3] += 10
    view = ReferenceView.make(portrait_picture(256), reference, neutral, model)
    target = Target.make(moved, neutral, model)
    field = GeometricRenderer(model, weights.topology()).flow(target, view).field
    x, y = (target.landmarks[1, :2] / 2).astype(int)
    assert field[y, x] == pytest.approx([-10, 0], abs=1e-3)
