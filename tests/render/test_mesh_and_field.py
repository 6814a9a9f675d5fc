# SPDX-License-Identifier: Apache-2.0
"""The flow meets landmarks, dies out in the background, and tears nowhere."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from talkcodec import weights
from talkcodec.motion.landmarks import OVAL
from talkcodec.render.field import (
    FIELD_SIDE,
    Surround,
    extend,
    fade_end,
    head_flow,
    rim_distance,
)
from talkcodec.render.ground import FLOW_SIDE, Ground
from talkcodec.render.measure import torn
from talkcodec.render.mesh import Cover, rasterise
from talkcodec.types import CANVAS, F32, F64, LANDMARKS, Bool

MODEL, TOPOLOGY = weights.shape_model(), weights.topology()
SIDE = FLOW_SIDE


def face(**pose: float) -> F64:
    state = np.zeros(MODEL.dimension)
    state[3:6] = (128, 128, np.log(52))
    for index, value in pose.items():
        state[{"pitch": 0, "yaw": 1, "roll": 2, "x": 3, "y": 4}[index]] += value
    return MODEL.expand(MODEL.mean, state)


def flow_within(target: F64, source: F64) -> tuple[F32, Bool]:
    """Return the flow of the face, and where that is."""
    cover = Cover.of(TOPOLOGY, target, SIDE)
    return cover.flow(target, source), cover.inside


def flow_of_all(target: F64, source: F64) -> F32:
    return Ground.of(target, TOPOLOGY).flow(source)


def flow_of_head(target: F64, source: F64, rigidity: F64 | None = None) -> F32:
    cover = Cover.of(TOPOLOGY, target, SIDE)
    return head_flow(target, source, Surround.of(target, cover.inside), rigidity)


def test_triangles_are_of_landmarks_and_wound_alike() -> None:
    triangles = TOPOLOGY.triangles
    assert triangles.min() >= 0
    assert triangles.max() < LANDMARKS
    corners = MODEL.mean[:, :2][triangles[: -TOPOLOGY.mouth]]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] > 0).mean() > 0.97


@pytest.mark.parametrize("yaw", [0.0, 0.5, -0.7])
def test_the_flow_carries_each_visible_landmark_to_its_place(yaw: float) -> None:
    source, target = face(), face(yaw=yaw, x=6, roll=0.1)
    flow, inside = flow_within(target, source)
    nose = (1, 4, 5, 6)  # never hidden at these angles
    for index in nose:
        column, row = (target[index, :2] / 2).astype(int)
        assert inside[row, column]
        reached = (np.array([column, row]) + 0.5) * 2 + flow[row, column]
        # The pixel's centre is up to a pixel and a half from the landmark.
        assert np.abs(reached - source[index, :2]).max() < 5


def test_pixels_are_filled_one_triangle_over_the_other_from_far_to_near() -> None:
    target = face(yaw=0.6, roll=0.2)
    wanted = np.full((SIDE, SIDE), -1, np.int32)
    depth = {i: target[t, 2].mean() for i, t in enumerate(TOPOLOGY.triangles)}
    for index in sorted(depth, key=lambda i: -depth[i]):
        corners = target[TOPOLOGY.triangles[index], :2] * (SIDE / CANVAS) - 0.5
        if np.linalg.det(corners[1:] - corners[0]) > 0:
            fixed = np.rint(corners * 16).astype(np.int32)
            cv2.fillConvexPoly(wanted, fixed, index, lineType=cv2.LINE_8, shift=4)
    found = rasterise(TOPOLOGY, target, SIDE)
    # OpenCV begins an edge at the middle of the row that its end is in: another pixel here and
    # there, of the triangle beside it.
    within = wanted >= 0
    assert (found == wanted)[within].mean() > 0.85
    assert ((found >= 0) != within).sum() < 0.01 * within.sum()


def test_a_triangle_moves_its_pixels_as_an_affine_map_does() -> None:
    source, target = face(), face(yaw=0.3, x=4, roll=0.1)
    ids = rasterise(TOPOLOGY, target, SIDE)
    flow, inside = flow_within(target, source)
    assert np.array_equal(inside, ids >= 0)
    assert (flow[~inside] == 0).all()
    for row, column in np.argwhere(ids >= 0)[::37]:
        corners = TOPOLOGY.triangles[ids[row, column]]
        ends = np.column_stack([target[corners, :2], np.ones(3)])
        moved = (source - target)[corners, :2]
        at = np.array([(column + 0.5) * 2, (row + 0.5) * 2, 1.0])
        shares = np.maximum(np.linalg.solve(ends.T, at), 0)  # a centre beside it is taken into it
        wanted = shares / shares.sum() @ moved
        assert np.allclose(flow[row, column], wanted, atol=2e-3)


def test_a_turned_head_hides_its_far_side() -> None:
    visible = {int(i) for i in np.unique(rasterise(TOPOLOGY, face(yaw=0.9), SIDE)) if i >= 0}
    assert len(visible) < 0.85 * len(TOPOLOGY.triangles)


@pytest.mark.parametrize("seed", range(8))
def test_no_pixel_moves_further_than_the_landmarks(seed: int) -> None:
    random = np.random.default_rng(seed)
    source, target = face(yaw=random.uniform(-0.6, 0.6)), face(yaw=random.uniform(-0.6, 0.6))
    target = target + random.normal(0, 1.5, target.shape)
    flow, inside = flow_within(target, source)
    moved = (source - target)[:, :2]
    assert inside.any()
    assert (flow[inside] >= moved.min(0) - 1e-3).all()
    assert (flow[inside] <= moved.max(0) + 1e-3).all()


def test_the_background_stays_where_it_is() -> None:
    source, target = face(), face(x=10, y=4)
    whole = flow_of_all(target, source)
    far = rim_distance(target, SIDE) > fade_end(target, source)
    assert far.any()
    assert np.abs(whole[far]).max() < 0.5
    middle = whole[60:68, 66:74]
    assert np.allclose(middle, (-10, -4), atol=0.5)


@pytest.mark.parametrize("pose", [{"pitch": 0.4}, {"yaw": 0.4}, {"roll": 0.5}, {"x": 25.0}])
def test_no_pose_tears_the_picture(pose: dict[str, float]) -> None:
    source, target = face(), face(**pose)
    whole = flow_of_all(target, source)
    assert np.isfinite(whole).all()
    # What a turn uncovers beside the face was in no reference: a narrow band, and nothing else.
    apart = torn(whole) & (rim_distance(target, SIDE) > 0.02)
    assert apart.mean() < (0.02 if pose.keys() & {"yaw", "pitch"} else 0.001)
    assert (apart & (rim_distance(target, SIDE) > 0.15)).mean() < 0.005
    assert not (apart & (rim_distance(target, SIDE) > 0.3)).any()


def test_one_bad_landmark_bends_only_its_neighbourhood() -> None:
    source, target = face(), face(x=3)
    broken = target.copy()
    broken[50, :2] += (18, -12)
    good, hurt = flow_of_all(target, source), flow_of_all(broken, source)
    changed = np.abs(good - hurt).max(-1) > 1.0
    assert changed.mean() < 0.05


def test_extension_fills_everything_and_keeps_what_is_known() -> None:
    flow = np.zeros((64, 64, 2), np.float32)
    inside = np.zeros((64, 64), bool)
    inside[20:40, 20:40] = True
    flow[inside] = (3.0, -1.0)
    filled = extend(flow, inside)
    assert np.allclose(filled, (3.0, -1.0), atol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_components_are_extended_each_by_itself(count: int) -> None:
    random = np.random.default_rng(count)
    flow = random.normal(0, 5, (32, 32, count)).astype(np.float32)
    inside = random.random((32, 32)) < 0.2
    filled = extend(flow, inside)
    assert np.array_equal(filled[inside], flow[inside])
    for k in range(count):
        alone = extend(flow[..., k : k + 1], inside)
        np.testing.assert_allclose(filled[..., k : k + 1], alone, atol=1e-5)


@pytest.mark.parametrize("pose", [{"roll": 0.2, "x": 5.0}, {"yaw": 0.4}, {"pitch": -0.3}])
def test_the_heads_flow_is_that_of_a_body_in_space(pose: dict[str, float]) -> None:
    source, target = face(), face(**pose)
    flow, cell = flow_of_head(target, source), CANVAS / FIELD_SIDE
    for index in OVAL[::6]:
        column, row = np.clip((target[index, :2] / cell).astype(int), 0, FIELD_SIDE - 1)
        reached = (np.array([column, row]) + 0.5) * cell + flow[row, column]
        assert np.abs(reached - source[index, :2]).max() < 5


@pytest.mark.parametrize("yaw", [0.3, -0.3])
def test_a_turn_moves_hair_against_the_nose(yaw: float) -> None:
    source, target = face(), face(yaw=yaw)
    distance = rim_distance(target, FIELD_SIDE)
    hair = (distance > 0.2) & (distance < 0.4)
    across = flow_of_head(target, source)[..., 0]
    nose = float(source[1, 0] - target[1, 0])
    assert abs(nose) > 8
    assert (across[hair] / nose).max() < 0.1
    assert float(np.median(across[hair])) / nose < -0.2


def test_a_jaw_that_drops_moves_no_hair() -> None:
    source = face()
    target = source.copy()
    loose = MODEL.rigidity < 0.5
    target[loose, 1] += 12
    moved = [
        np.abs(flow_of_head(target, source, weights)).mean() for weights in (None, MODEL.rigidity)
    ]
    assert loose.any()
    assert moved[1] < 0.5 * moved[0]


def test_a_long_way_fades_wider() -> None:
    ends = [fade_end(face(x=way), face()) for way in (0.0, 10.0, 40.0, 80.0)]
    assert ends[0] == ends[1] < ends[2] < ends[3]


@pytest.mark.parametrize("way", [20.0, 40.0, -60.0])
def test_no_way_stretches_the_background_to_more_than_twice_its_size(way: float) -> None:
    source, target = face(x=-way / 2), face(x=way / 2)
    whole = flow_of_all(target, source)
    outside = rim_distance(target, SIDE) > 0.1
    slope = np.abs(np.diff(whole[..., 0], axis=1)) / 2
    assert slope[outside[:, 1:] & outside[:, :-1]].max() < 0.62


def test_a_face_without_extent_has_a_finite_flow() -> None:
    point = np.full((LANDMARKS, 3), 100.0)
    assert np.isfinite(flow_of_head(point, face())).all()
    assert np.isfinite(flow_of_all(point, face())).all()
