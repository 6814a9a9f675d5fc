# SPDX-License-Identifier: Apache-2.0
"""Drawing with some of the networks only is what it says it is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from talkcodec import weights
from talkcodec.bench.source import Source
from talkcodec.metrics.base import Clip
from talkcodec.motion.landmarks import IRISES, LIPS
from talkcodec.render.generated import GeneratedRenderer
from talkcodec.render.geometric import GeometricRenderer
from talkcodec.types import U8
from tests.render.test_generated import scene
from training.evaluate.parts import PARTS, Partial

TARGET, VIEW = scene()


def drawn(name: str) -> U8:
    coded = replace(VIEW, picture=(VIEW.picture // 16 * 16).astype(np.uint8))
    blank = np.zeros_like(VIEW.picture)
    source = Source("portrait", Clip([blank, VIEW.picture], Fraction(25)))
    with closing(Partial(PARTS[name], source)) as renderer:
        return renderer.render(TARGET, VIEW if name in ("warp", "all") else coded)


def test_with_no_network_it_is_the_geometric_picture_and_with_all_the_generated_one() -> None:
    model, topology = weights.shape_model(), weights.topology()
    plain = GeometricRenderer(model, topology).render(TARGET, VIEW)
    assert np.array_equal(drawn("warp"), plain)
    with closing(GeneratedRenderer(model, topology)) as renderer:
        assert np.array_equal(drawn("all"), renderer.render(TARGET, VIEW))


@pytest.mark.parametrize(
    "name", [name for name in PARTS if name not in ("warp", "all", "original")]
)
def test_every_part_changes_the_picture(name: str) -> None:
    assert not np.array_equal(drawn(name), drawn("warp"))


def test_without_mouth_or_eyes_only_their_places_differ() -> None:
    rows = ("all but mouth and eyes", "all but mouth", "all but eyes")
    bare, eyes, mouth = (drawn(name).astype(int) for name in rows)
    at_lips, at_eyes = (
        round(float(TARGET.landmarks[list(part), 1].mean())) for part in (LIPS, IRISES)
    )
    for changed, above in ((eyes, True), (mouth, False)):
        off = np.abs(changed - bare).sum((1, 2))
        assert off[:at_eyes].any() == above
        assert off[at_lips:].any() != above


def test_the_original_is_found_among_the_frames() -> None:
    assert np.array_equal(drawn("original"), drawn("warp"))


def test_without_the_matte_what_is_behind_moves_along() -> None:
    assert not np.array_equal(drawn("all but matte"), drawn("all"))
