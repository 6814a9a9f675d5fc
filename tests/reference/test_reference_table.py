# SPDX-License-Identifier: Apache-2.0
"""The reference table's arithmetic, and that every coder in it round-trips a picture."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.reference_table import CODERS, Row, bytes_at, markdown


def row(size: float, lpips: float, codec: str = "av1") -> Row:
    return Row(codec, 256, 100, size, lpips, 0.1, 35.0, 10.0, 2.0)


def test_bytes_at_is_log_linear_and_says_when_it_is_outside() -> None:
    rows = [row(4000, 0.02), row(1000, 0.08)]
    assert bytes_at(rows, 0.08) == pytest.approx(1000)
    assert bytes_at(rows, 0.04) == pytest.approx(2000)
    assert math.isnan(bytes_at(rows, 0.01))
    assert math.isnan(bytes_at(rows, 0.09))
    assert math.isnan(bytes_at([], 0.05))


def test_markdown_has_a_line_per_codec_and_per_row() -> None:
    text = markdown([row(4000, 0.02), row(1000, 0.08), row(3000, 0.05, "webp")])
    assert "| av1 | 1000 | 1333 | 1600 | 2000 | 2667 |" in text
    assert "| webp | outside | outside | 3000 | outside | outside |" in text
    assert text.count("| av1 | 100 |") == 2


@pytest.mark.parametrize("name", sorted(CODERS))
def test_coders_spend_more_on_better_pictures(name: str) -> None:
    code, qualities = CODERS[name]
    y, x = np.mgrid[:64, :64]
    picture = np.stack([x * 3, y * 3, (x * y) % 200], -1).astype(np.uint8)
    coded = [code(picture, quality) for quality in (qualities[0], qualities[-1])]
    errors = [float(np.square(shown.astype(float) - picture).mean()) for _, shown, _, _ in coded]
    assert all(shown.shape == picture.shape for _, shown, _, _ in coded)
    assert (coded[0][0] > coded[1][0]) == (errors[0] < errors[1])
    assert coded[0][0] != coded[1][0]
