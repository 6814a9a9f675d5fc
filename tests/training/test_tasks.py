# SPDX-License-Identifier: Apache-2.0
"""Tasks learn, draw the same batches again, and their truth lies where the faces are."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from talkcodec.errors import InputError
from talkcodec.face.details import DETAILS
from talkcodec.face.networks import told_place
from talkcodec.face.place import Place
from talkcodec.models.details import MOUTH_SIDE
from talkcodec.models.detector import CELLS, PLACE, DetectorNet
from talkcodec.models.detector import SIDE as DETECTOR_SIDE
from talkcodec.motion.landmarks import (
    LEFT_LID_GAP,
    LIP_GAP,
    RIGHT_LID_GAP,
    inter_ocular,
    opening,
)
from talkcodec.types import CANVAS, F32
from tests.training.tiny import make_store
from training.augment import CallAugmentation
from training.augment.turn import turned, turned_further, yaw
from training.store import FrameStore
from training.task import Task, build_task
from training.tasks.details import cut
from training.tasks.detector import focal, target, to_batch
from training.tasks.faces import Jitter, empty_sample, face_sample, sampling_weights
from training.tasks.measure import Scores, correlation, openings
from training.tasks.scenes import ScenePicture, backdrop, scene

WHOLE = Place(DETECTOR_SIDE / 2, DETECTOR_SIDE / 2, DETECTOR_SIDE)
NAMES = ("tracker", "details", "detector")
SMALL: dict[str, dict[str, Any]] = {
    "details": {"mouth": [4, 8, 8, 8], "eye": [4, 8, 8, 8], "validate_frames": 50},
    "tracker": {"widths": [4, 8, 12, 12, 8], "basis": 6, "validate_frames": 50},
    "detector": {"widths": [4, 8, 8, 12], "validate_pictures": 50},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("stores")
    make_store(made / "train")
    make_store(made / "val", frames=2)
    return made


@pytest.fixture(scope="module")
def store(folder: Path) -> FrameStore:
    return FrameStore.open(folder / "train")


def build(folder: Path, name: str) -> Task:
    torch.manual_seed(0)
    stores = {"train": str(folder / "train"), "validate": str(folder / "val")}
    return build_task({"name": name, **stores, **SMALL[name]})


@pytest.mark.parametrize("name", NAMES)
def test_a_task_learns_a_batch(folder: Path, name: str) -> None:
    task = build(folder, name)
    (network,) = task.networks().values()
    assert task.turns == (name,)
    task.attach({name: network})
    batch = next(task.loader(batch=8, seed=1, step=0, rank=0, world=1))
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    history = []
    for step in range(20):
        values = task.losses(name, batch, step)
        assert all(value.ndim == 0 and value.isfinite() for value in values.values())
        optimiser.zero_grad()
        torch.autograd.backward(values["loss"])
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
        optimiser.step()
        history.append(float(values["loss"].detach()))
    assert np.mean(history[-3:]) < 0.8 * np.mean(history[:3])


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_depends_on_seed_step_and_rank_only(folder: Path, name: str) -> None:
    task = build(folder, name)

    def draw(seed: int = 3, step: int = 5, rank: int = 0, world: int = 1) -> dict[str, Any]:
        return next(task.loader(batch=4, seed=seed, step=step, rank=rank, world=world))

    first = draw()
    (key,) = first.keys() & {"crop", "mouth", "picture"}
    side = MOUTH_SIDE if name == "details" else 128
    assert first[key].shape == (4, 3, side, side)
    assert first[key].dtype == torch.uint8
    from_before = next(
        itertools.islice(task.loader(batch=4, seed=3, step=3, rank=0, world=1), 2, None)
    )
    other = build(folder, name)
    anew = next(other.loader(batch=4, seed=3, step=5, rank=0, world=2))
    np.random.default_rng().random()
    for again in (draw(), from_before, anew):
        assert again.keys() == first.keys()
        assert all(torch.equal(again[name], first[name]) for name in first)
    for unlike in (draw(seed=4), draw(step=6), draw(rank=1, world=2)):
        assert not torch.equal(unlike[key], first[key])


@pytest.mark.parametrize("name", NAMES)
def test_validation_gives_a_score_and_a_grid_and_repeats_itself(folder: Path, name: str) -> None:
    task = build(folder, name)
    network: Any = next(iter(task.networks().values())).eval()
    with torch.no_grad():
        one, two = task.validate(network), task.validate(network)
        grid = task.pictures(network)
    assert one == two
    assert all(np.isfinite(value) for value in one.values())
    assert one["score"] > 0
    assert grid is not None
    assert grid.dtype == np.uint8
    rows, side = (4, 256) if name == "tracker" else (3, DETECTOR_SIDE)
    columns = 12 if name == "details" else 8
    assert grid.shape[1:] == (columns * side, 3)
    assert grid.shape[0] % side == 0
    assert 0 < grid.shape[0] <= rows * side * 2


@pytest.mark.parametrize("name", NAMES)
def test_a_task_tells_its_data_and_can_build_its_network_again(folder: Path, name: str) -> None:
    task = build(folder, name)
    assert task.data() == {
        "train": {"frames": 8, "clips": 2, "people": 2, "licences": ["MIT"]},
        "validate": {"frames": 2, "clips": 2, "people": 2, "licences": ["MIT"]},
    }
    network: Any = task.networks()[name]
    again = type(network)(**network.arguments)
    again.load_state_dict(network.state_dict())
    examples = network.export_inputs().values()
    with torch.no_grad():
        found = dict(zip(network.export_outputs(), network.eval()(*examples), strict=True))
        for key, value in zip(again.export_outputs(), again.eval()(*examples), strict=True):
            assert torch.equal(found[key], value)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_does_not_measure_on_what_it_trains_on(folder: Path, name: str) -> None:
    stores = {"train": str(folder / "train"), "validate": str(folder / "train")}
    with pytest.raises(InputError, match=r"^expected other clips to validate on than to train on"):
        build_task({"name": name, **stores, **SMALL[name]})


@pytest.mark.parametrize(("count", "empty"), [(1, 0.0), (1, 1.0), (3, 0.3), (49, 0.3), (51, 0.3)])
def test_any_number_of_scenes_gives_a_score(folder: Path, count: int, empty: float) -> None:
    torch.manual_seed(0)
    stores = {"train": str(folder / "train"), "validate": str(folder / "val")}
    changes = SMALL["detector"] | {"validate_pictures": count, "empty": empty}
    task = build_task({"name": "detector", **stores, **changes})
    with torch.no_grad():
        values = task.validate(task.networks()["detector"].eval())
    assert all(np.isfinite(value) for value in values.values())
    with pytest.raises(
        InputError, match=r"^expected task\.validate_pictures of 1 or more, found 0$"
    ):
        build_task({"name": "detector", **stores, "validate_pictures": 0})


def test_the_tracker_starts_at_the_mean_face(folder: Path, store: FrameStore) -> None:
    network: Any = build(folder, "tracker").networks()["tracker"]
    faces = [Place.around(marks).to_crop(marks) for marks in store.landmarks]
    with torch.no_grad():
        landmarks, _ = network.eval()(torch.full((1, 3, 128, 128), 90, dtype=torch.uint8))
    assert np.abs(landmarks[0].numpy() - np.mean(faces, 0))[:, :2].mean() < 0.03
    # Its basis spans what faces do.
    basis = network.basis.weight.detach().numpy()
    change = (faces[1] - np.mean(faces, 0)).ravel()
    rest = change - basis @ np.linalg.lstsq(basis, change, rcond=None)[0]
    assert np.linalg.norm(rest) < 0.5 * np.linalg.norm(change)


NOTHING = CallAugmentation(**dict.fromkeys(CallAugmentation.__slots__, 0.0))


def test_a_sample_shows_its_landmarks(store: FrameStore) -> None:
    """Wherever a crop was cut: cutting the landmarks' place out of it gives the same face."""
    for seed in range(40):
        random = np.random.default_rng(seed)
        # Not so far off that a part of the face is outside.
        jitter = Jitter(shift=0.02, scale=0.05, bent=0, squeeze=0, turned=0)
        sample = face_sample(store, 1, side=128, jitter=jitter, chances=NOTHING, random=random)
        assert sample.face == 1
        assert sample.crop.shape == (128, 128, 3)
        marks = (sample.landmarks + np.array([0.5, 0.5, 0], np.float32)) * 128
        tight = Place.around(marks, margin=0.8).crop(sample.crop, 48).astype(int)
        plain = Place.around(store.landmarks[1], margin=0.8)
        straight = plain.crop(np.ascontiguousarray(store.frames[1]), 48).astype(int)
        same = min(np.abs(tight - straight).mean(), np.abs(tight[:, ::-1] - straight).mean())
        shifted = np.abs(tight[:, 3:] - straight[:, :-3]).mean()
        assert same < 8 < shifted, seed


def test_crops_without_a_face_are_marked_and_differ_from_it(store: FrameStore) -> None:
    for seed in range(30):
        sample = empty_sample(store, 0, side=128, random=np.random.default_rng(seed))
        assert sample.face == 0
        assert sample.crop.shape == (128, 128, 3)
        assert (sample.landmarks == 0).all()


def test_rare_faces_and_rare_people_are_drawn_more_often(store: FrameStore) -> None:
    weights = sampling_weights(store)
    assert weights.sum() == pytest.approx(1)
    assert (weights > 0).all()
    landmarks = np.repeat(store.landmarks[:1], 10, 0)
    # A little apart, so that quantiles part nobody but the one who shuts both eyes.
    landmarks[:, LIP_GAP[1], 1] -= np.linspace(0, 0.1, 10)
    identity = np.array([0] * 9 + [1], np.int32)
    for upper, lower in (LEFT_LID_GAP, RIGHT_LID_GAP):
        landmarks[4, lower] = landmarks[4, upper]
    few = FrameStore(store.frames, landmarks, identity, identity, store.meta)
    chances = sampling_weights(few)
    assert chances[4] > 2 * np.median(chances[:9])
    assert chances[9] == pytest.approx(3 * np.median(chances[:9]), rel=0.01)


def test_losses_ignore_landmarks_where_there_is_no_face(folder: Path) -> None:
    task = build(folder, "tracker")
    (network,) = task.networks().values()
    task.attach({"tracker": network.eval()})
    batch = next(task.loader(batch=6, seed=1, step=0, rank=0, world=1))
    batch["face"][:3] = 0
    with torch.no_grad():
        before = task.losses("tracker", batch, 0)
        batch["landmarks"][:3] += 5
        after = task.losses("tracker", batch, 0)
        for key, value in before.items():
            assert float(value) == pytest.approx(float(after[key])), key
        batch["landmarks"][3:] += 5
        assert task.losses("tracker", batch, 0)["points"] > 10 * before["points"]


def test_details_are_asked_for_where_they_are(store: FrameStore) -> None:
    """Wherever crops were cut: what is asked for there lies on the landmarks."""
    for seed in range(20):
        random = np.random.default_rng(seed)
        places: list[Place] = []

        def off(place: Place, random: Any = random, places: Any = places) -> Place:
            x, y = random.normal(0, 3, 2)
            places.append(Place(place.x + x, place.y + y, place.side * 1.1, random.normal(0, 0.2)))
            return places[-1]  # type: ignore[no-any-return]

        marks = store.landmarks[seed % len(store)]
        sample = cut(np.ascontiguousarray(store.frames[seed % len(store)]), marks, off)
        for detail, place in zip(DETAILS, places, strict=True):
            points = sample[f"{detail.name}_points"]
            assert np.abs(points).max() < 0.6
            found = detail.to_picture(points, place)
            np.testing.assert_allclose(found, marks[list(detail.points), :2], atol=1e-3)
        gap = float(inter_ocular(marks))
        np.testing.assert_allclose(
            sample["ocular"] * [places[0].side, places[1].side], [gap, gap], rtol=1e-3
        )


def test_heads_turned_further_keep_their_landmarks(store: FrameStore) -> None:
    """Shown at the landmarks' new places is what was at the old ones."""
    marks, picture = store.landmarks[0], np.ascontiguousarray(store.frames[0])
    assert abs(yaw(marks)) < 0.3
    for angle in (-0.4, 0.0, 0.4):
        shown, moved = turned(picture, marks, angle)
        assert yaw(moved) - yaw(marks) == pytest.approx(angle, abs=0.02)
        near = [1, 13, 14, 61, 291, 159, 386]  # nose, lips, upper lids: in sight from both sides
        was, now = (
            np.array(
                [cv2.getRectSubPix(p, (3, 3), tuple(map(float, m[i, :2] - 0.5))) for i in near]
            )
            for p, m in ((picture, marks), (shown, moved))
        )
        assert np.abs(was.mean((1, 2)) - now.mean((1, 2))).mean() < 12
    turns = [turned_further(picture, marks, np.random.default_rng(seed)) for seed in range(12)]
    change = [abs(yaw(moved) - yaw(marks)) for _, moved in turns]
    assert min(change) > 0.09
    assert max(abs(yaw(moved)) for _, moved in turns) < 1.15


def test_scores_of_known_errors(store: FrameStore) -> None:
    truth = store.landmarks
    scores = Scores()
    gap = np.linalg.norm(truth[:, 468, :2] - truth[:, 473, :2], axis=1)
    off = truth.copy()
    off[:, :, 0] += 0.1 * gap[:, None]
    scores.add(off[:4], truth[:4], np.array([[1.0], [-1.0], [1.0], [1.0]], np.float32))
    scores.add(off[4:], truth[4:])
    values = scores.values()
    for key in ("score", "all", "lips", "lids", "irises"):
        assert values[key] == pytest.approx(0.1, rel=1e-3)
    assert values["missed"] == 0.25
    assert values["lip_correlation"] == pytest.approx(1, abs=0.01)
    assert correlation(np.zeros(4), np.arange(4.0)) == 0


def test_openings_in_torch_are_those_of_numpy(store: FrameStore) -> None:
    found = openings(torch.from_numpy(store.landmarks)).numpy()
    for column, gap in enumerate((LIP_GAP, LEFT_LID_GAP, RIGHT_LID_GAP)):
        np.testing.assert_allclose(found[:, column], opening(store.landmarks, gap), atol=1e-3)


def test_what_a_cell_is_to_say_is_what_is_read_from_it() -> None:
    place = Place(40.0, 71.0, 50.0, -0.4)
    shown = ScenePicture(np.zeros((128, 128, 3), np.uint8), [place], [])
    batch = to_batch([shown])
    assert batch["heat"].shape == (1, CELLS, CELLS)
    assert batch["places"].shape == (1, PLACE, CELLS, CELLS)
    cells = np.argwhere(batch["mask"][0].numpy())
    assert cells.tolist() == [[r, c] for r in (7, 8, 9) for c in (4, 5, 6)]
    assert batch["heat"][0].argmax() == 8 * CELLS + 5
    assert (batch["heat"] == 1).sum() == 1
    for row, column in cells.tolist():
        read = told_place(batch["places"][0].numpy(), row, column, WHOLE)
        expected = (place.x, place.y, place.side, place.roll)
        assert (read.x, read.y, read.side, read.roll) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("at", [(0.5, 0.5), (127.9, 3.0), (60.0, 127.99)])
def test_places_at_the_edge_have_cells(at: tuple[float, float]) -> None:
    place = Place(*at, 40.0)
    batch = to_batch([ScenePicture(np.zeros((128, 128, 3), np.uint8), [place], [])])
    row, column = np.argwhere(batch["heat"][0].numpy() == 1)[0].tolist()
    cell: F32 = target(place, (row, column))
    assert np.abs(cell[:2]).max() <= 0.5
    assert batch["mask"][0, row, column] == 1


def test_near_faces_keep_their_own_middles() -> None:
    places = [Place(40.0, 40.0, 12.0), Place(48.0, 40.0, 12.0)]
    batch = to_batch([ScenePicture(np.zeros((128, 128, 3), np.uint8), places, [])])
    for place in places:
        row, column = int(place.y // 8), int(place.x // 8)
        read = told_place(batch["places"][0].numpy(), row, column, WHOLE)
        assert read.x == pytest.approx(place.x, abs=1e-3)


def test_vague_places_do_not_count() -> None:
    vague = Place(64.0, 64.0, 40.0)
    batch = to_batch([ScenePicture(np.zeros((128, 128, 3), np.uint8), [], [vague])])
    care = batch["care"][0].numpy()
    assert care[8, 8] == 0
    assert care[0, 0] == 1
    scores = torch.full((1, CELLS, CELLS), -9.0)
    scores[0, 8, 8] = 9
    free = focal(scores, batch["heat"], batch["care"])
    strict = focal(scores, batch["heat"], torch.ones_like(batch["care"]))
    assert free < 0.1 < strict


def test_the_loss_wants_ones_at_faces_and_none_elsewhere() -> None:
    place = Place(64.0, 64.0, 40.0)
    batch = to_batch([ScenePicture(np.zeros((128, 128, 3), np.uint8), [place], [])])
    right = torch.where(batch["heat"] == 1, 8.0, -8.0)
    losses = [
        float(focal(scores, batch["heat"], batch["care"]))
        for scores in (right, torch.full_like(right, -8), torch.full_like(right, 8))
    ]
    assert losses[0] < 0.05
    assert 1 < losses[1] < losses[2]


def test_places_in_scenes_lie_where_the_faces_are(store: FrameStore) -> None:
    """Cut out of the scene, every place shows the portrait, upright and as large."""
    plain = Place.around(store.landmarks[0])
    portrait = plain.crop(np.ascontiguousarray(store.frames[0]), 24).mean(2)
    inner = np.s_[5:-5, 5:-5]
    fits: list[float] = []
    aside: list[float] = []
    seen = 0
    for seed in range(120):
        shown = scene(store, 0, side=128, empty=0.2, random=np.random.default_rng(seed))
        assert shown.picture.shape == (128, 128, 3)
        assert shown.picture.dtype == np.uint8
        for place in shown.places:
            assert 0 <= place.x < 128
            assert 0 <= place.y < 128
            assert 0.1 * 128 < place.side < 1.8 * 128
            seen += 1
            for x, list_ in ((place.x, fits), (place.x + 0.4 * place.side, aside)):
                cut = Place(x, place.y, place.side, place.roll).crop(shown.picture, 24).mean(2)
                pair = [cut[inner], cut[:, ::-1][inner]]
                list_.append(
                    max(
                        float(np.corrcoef(c.ravel() + 1e-9, portrait[inner].ravel())[0, 1])
                        for c in pair
                    )
                )
    assert seen > 60
    assert np.median(fits) > 0.7
    assert np.median(aside) < 0.5


def test_scenes_are_as_often_empty_as_was_said(store: FrameStore) -> None:
    count = sum(
        not (shown.places or shown.vague)
        for shown in (
            scene(store, 0, side=128, empty=0.5, random=np.random.default_rng(seed))
            for seed in range(60)
        )
    )
    assert 18 < count < 42


def test_backdrops_are_repeatable_pictures(store: FrameStore) -> None:
    for seed in range(20):
        one, two = (backdrop(store, 128, np.random.default_rng(seed)) for _ in range(2))
        assert one.shape == (128, 128, 3)
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, two)


def test_the_detector_of_the_configuration_is_the_class_s_own() -> None:
    assert DetectorNet().arguments == {"widths": [12, 24, 32, 64]}
    assert CANVAS == 256
