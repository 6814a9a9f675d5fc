# SPDX-License-Identifier: Apache-2.0
"""Losses are the metrics they are named after, and have gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from talkcodec.face.place import Place
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.metrics.dists import Dists
from talkcodec.metrics.lpips import Lpips
from talkcodec.types import U8
from training.discriminators import Discriminators, fooling_loss, matching_loss, verdict_loss
from training.judges import LandmarkLoss, cut
from training.losses import LooksLoss, _Moments
from training.tasks.driven import looked_at, planes


@pytest.fixture(scope="module")
def looks() -> LooksLoss:
    return LooksLoss()


def spoilt(amount: float) -> U8:
    random = np.random.default_rng(3)
    grain = random.normal(0, amount, (256, 256, 3))
    return np.asarray(np.clip(portrait_picture() + grain, 0, 255), np.uint8)


def tensor(*pictures: U8) -> Tensor:
    return torch.from_numpy(planes(list(pictures))).float()


def test_dists_and_lpips_are_those_of_the_reports(looks: LooksLoss) -> None:
    truth, found = portrait_picture(), [spoilt(4), spoilt(16)]
    with torch.no_grad():
        told = [looks(tensor(picture), tensor(truth)) for picture in found]
        both = looks(tensor(*found), tensor(truth, truth))
    dists, lpips = Dists(), Lpips()
    for one, picture in zip(told, found, strict=True):
        wanted = dists.distance(dists.features(truth), dists.features(picture))
        assert float(one.dists) == pytest.approx(wanted, abs=0.003)  # its features are bf16
        layers = lpips.distances(lpips.features([truth]), lpips.features([picture]))
        wanted = sum(float(layer.mean()) for layer in layers)
        assert float(one.lpips) == pytest.approx(wanted, rel=1e-3)
        assert float(one.features) > 0
    assert float(both.dists) == pytest.approx(sum(float(one.dists) for one in told) / 2, abs=1e-3)


def test_equal_pictures_lose_nothing_and_others_have_a_way_back(looks: LooksLoss) -> None:
    truth = tensor(portrait_picture())
    found = tensor(spoilt(8)).requires_grad_()
    same = looks(truth, truth)
    assert abs(float(same.dists)) < 1e-3
    assert float(same.features) == float(same.lpips) == 0
    told = looks(found, truth)
    (told.dists + told.features + told.lpips).backward()  # type: ignore[no-untyped-call]
    assert found.grad is not None
    assert found.grad.isfinite().all()
    assert (found.grad * (found - truth)).sum() > 0  # against the grain


def test_landmarks_of_a_moved_face_are_off_by_how_far_it_moved() -> None:
    loss = LandmarkLoss()
    place = Place.around(Track.load().portrait)
    face = torch.from_numpy(looked_at(place))[None]
    truth = tensor(portrait_picture())
    marks = Track.load().portrait
    ocular = float(np.linalg.norm(marks[468, :2] - marks[473, :2]))
    for pixels in (0, 4):
        moved = torch.roll(truth, pixels, dims=3)
        assert float(loss(moved, truth, face)) == pytest.approx(pixels / ocular, rel=0.15)


def test_what_is_cut_is_what_the_tracker_is_shown() -> None:
    picture = portrait_picture()
    place = Place(120.0, 130.0, 110.0, 0.2)
    wanted = place.crop(picture, 128).astype(np.float32)
    found = cut(tensor(picture), torch.from_numpy(looked_at(place))[None], 128)[0]
    assert np.abs(found.permute(1, 2, 0).numpy() - wanted).mean() < 0.5


def test_discriminators_learn_and_the_generator_hears_of_it() -> None:
    torch.manual_seed(0)
    judges = Discriminators(width=8)
    drive = torch.zeros(2, 5, 128, 128, dtype=torch.uint8)
    places = torch.full((2, 2, 2), 128.0)
    real, drawn = tensor(portrait_picture(), portrait_picture()), tensor(spoilt(30), spoilt(30))
    optimiser = torch.optim.Adam(judges.parameters(), 3e-3)
    for _ in range(8):
        loss = verdict_loss(judges(real, drive, places), judges(drawn, drive, places))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    assert float(loss.detach()) < 2  # where nothing is told apart it is 2
    drawn.requires_grad_()
    maps = judges(drawn, drive, places)
    assert [len(m) for m in maps] == [4, 4, 4]
    heard = fooling_loss(maps) + matching_loss(judges(real, drive, places), maps)
    heard.backward()  # type: ignore[no-untyped-call]
    assert drawn.grad is not None
    assert float(drawn.grad.abs().sum()) > 0


def test_moments_have_the_gradients_that_autograd_would_find() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 5, 6, dtype=torch.double, requires_grad=True)
    y = torch.randn(2, 3, 5, 6, dtype=torch.double)
    mean, variance, both = _Moments.apply(x, y)  # type: ignore[no-untyped-call]
    assert torch.allclose(mean, x.mean((2, 3)))
    assert torch.allclose(variance, x.var((2, 3), correction=0))
    assert torch.allclose(both, (x * y).mean((2, 3)) - mean * y.mean((2, 3)))
    assert torch.autograd.gradcheck(lambda x: _Moments.apply(x, y), (x,))  # type: ignore[no-untyped-call]
