# SPDX-License-Identifier: Apache-2.0
"""The face-alignment adapter, with a network of random weights in torch.hub's cache."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from talkcodec.errors import MissingDependency
from talkcodec.face import FollowingTracker
from talkcodec.face.expand import IBUG_TO_DENSE
from talkcodec.face.fan import MOST_FACES, FaceAlignmentFinder, peaks
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.types import Box

pytest.importorskip("torch")
pytest.importorskip("face_alignment")

START = Box(80, 70, 175, 165)
NEVER = float("-inf")


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A torch.hub cache that holds FAN-4 with random weights."""
    import torch
    from face_alignment.api import FAN, models_urls

    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(FAN(4).state_dict(), folder / Path(models_urls["3DFAN-4"]).name)
    torch.set_num_threads(1)
    patch = pytest.MonkeyPatch()
    patch.setenv("TORCH_HOME", str(home))
    yield folder
    patch.undo()


@pytest.mark.usefixtures("cached")
def test_a_cached_network_runs_and_gives_478_finite_points() -> None:
    finder = FaceAlignmentFinder(start=START, minimum_score=NEVER)
    (face,) = finder.find(portrait_picture(), 0.0)
    assert face.landmarks.shape == (478, 3)
    assert np.isfinite(face.landmarks).all()
    assert 0 <= face.confidence <= 1


@pytest.mark.usefixtures("cached")
def test_weak_heat_maps_mean_no_face_and_the_start_box_is_tried_again() -> None:
    finder = FaceAlignmentFinder(start=START, minimum_score=float("inf"))
    tracker = FollowingTracker(finder)
    assert tracker.track(portrait_picture(), 0.0) is None
    assert tracker.track(portrait_picture(), 0.04) is None


def test_without_a_start_box_its_own_detector_is_asked_for(cached: Path) -> None:
    import torch
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.detection.sfd.sfd_detector import models_urls

    torch.save(s3fd().state_dict(), cached / Path(models_urls["s3fd"]).name)
    finder = FaceAlignmentFinder(minimum_score=NEVER)
    small = np.ascontiguousarray(portrait_picture()[::4, ::4])
    assert len(finder.find(small, 0.0)) <= MOST_FACES


def test_a_network_that_sees_the_points_gives_the_face_back(
    cached: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heat maps drawn at known places must come back as that face: crop, peaks, expansion."""
    assert cached.is_dir()
    finder = FaceAlignmentFinder(start=START)
    truth = Track.load().portrait[:, :2]
    side = 200 * (START.width + START.height) / 195
    middle, height = START.centre
    corner = np.array([middle - side / 2, height - 0.12 * START.height - side / 2])
    places = (truth[list(IBUG_TO_DENSE)] - corner) * 64 / side
    y, x = np.mgrid[0:64, 0:64] + 0.5
    spread = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / 2) for px, py in places]
    heat = np.stack(spread).astype(np.float32)
    monkeypatch.setattr(finder, "_run", lambda _: heat)
    (face,) = finder.find(portrait_picture(), 0.0)
    error = np.linalg.norm(face.landmarks[:, :2] - truth, axis=1)
    assert error.mean() < 1.5
    assert face.confidence > 0.8


def test_a_network_that_cannot_be_fetched_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(url: str) -> str:
        raise URLError(socket.gaierror(-3, f"Temporary failure in name resolution of {url[:8]}"))

    monkeypatch.setattr("face_alignment.api.load_file_from_url", unreachable)
    words = r"expected the networks of face-alignment, .* found temporary failure in name"
    with pytest.raises(MissingDependency, match=words) as caught:
        FaceAlignmentFinder(start=START)
    assert "urlopen" not in str(caught.value)


def test_peaks_are_moved_a_quarter_pixel_towards_the_higher_neighbour() -> None:
    heat = np.zeros((2, 64, 64), np.float32)
    heat[0, 10, 20], heat[0, 10, 21], heat[0, 9, 20] = 1.0, 0.5, 0.4
    heat[1, 0, 63] = 0.6  # in a corner there are no neighbours beyond
    points, score = peaks(heat)
    assert points[0].tolist() == [20.75, 10.25]
    assert 62.5 <= points[1, 0] <= 64
    assert score == pytest.approx(0.8)
