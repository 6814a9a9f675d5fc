# SPDX-License-Identifier: Apache-2.0
"""Histograms as SVG, so that the summary page needs nothing but itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from training.prepare.statistics import Quantity

_WIDTH, _HEIGHT = 380, 130
_LEFT, _BOTTOM, _TOP = 8, 18, 6
#: Of train and val.
COLOURS = ("#4c78a8", "#e45756")


def histogram(quantity: Quantity, counts: Mapping[str, Sequence[int]]) -> str:
    """Return a chart of the share of frames in each bin: the first split as bars, others as lines.

    ``counts``: for each split ``quantity.bins`` counts.
    """
    shares = {name: [n / max(sum(row), 1) for n in row] for name, row in counts.items()}
    most = max((max(row) for row in shares.values()), default=0.0) or 1.0
    width = (_WIDTH - 2 * _LEFT) / quantity.bins
    depth = _HEIGHT - _BOTTOM - _TOP
    drawn = []
    for number, row in enumerate(shares.values()):
        tops = [_TOP + depth * (1 - share / most) for share in row]
        colour = COLOURS[number % len(COLOURS)]
        if number == 0:
            drawn += [
                f'<rect x="{_LEFT + width * i:.1f}" y="{top:.1f}" width="{width - 0.6:.1f}" '
                f'height="{_TOP + depth - top:.1f}" fill="{colour}" fill-opacity="0.6"/>'
                for i, top in enumerate(tops)
            ]
        else:
            points = " ".join(
                f"{_LEFT + width * (i + side):.1f},{top:.1f}"
                for i, top in enumerate(tops)
                for side in (0, 1)
            )
            drawn.append(
                f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
            )
    return (
        f"<figure><figcaption>{escape(quantity.title)}; highest bin {most:.1%}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" role="img">'
        f"{''.join(drawn)}{_axis(quantity)}</svg></figure>"
    )


def _axis(quantity: Quantity) -> str:
    base = _HEIGHT - _BOTTOM
    out = [f'<line x1="{_LEFT}" y1="{base}" x2="{_WIDTH - _LEFT}" y2="{base}" stroke="#888"/>']
    for part, anchor in (
        (0.0, "start"),
        (0.25, "middle"),
        (0.5, "middle"),
        (0.75, "middle"),
        (1.0, "end"),
    ):
        value = quantity.low + part * (quantity.high - quantity.low)
        x = _LEFT + part * (_WIDTH - 2 * _LEFT)
        out.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - 4}" font-size="11" text-anchor="{anchor}">'
            f"{value:g}</text>"
        )
    return "".join(out)
