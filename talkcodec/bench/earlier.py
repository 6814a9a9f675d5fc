# SPDX-License-Identifier: Apache-2.0
"""Ladder points out of an earlier ``report.json``, which anyone may have written.

What is taken over lands in a cache that later reports are made of, under a name that begins with
the clip's digest: so every value is checked, and nothing of a file decides where that lies.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from talkcodec.bench.codecs import ClassicalCodec
from talkcodec.errors import InputError

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class EarlierPoint:
    """A point of a ladder of the clip whose pictures have ``digest``. Rates in kbit/s."""

    digest: str
    point: int
    payload_kbps: float
    wire_kbps: float
    scores: Mapping[str, float]


def earlier_points(
    report: Mapping[str, Any], codec: ClassicalCodec, columns: Collection[str]
) -> Iterator[EarlierPoint]:
    """Yield the points of ``codec`` in ``report``, each with the scores ``columns``.

    Raises:
        InputError: a digest, a point, a rate or a score is none.
    """
    for clip in report["clips"]:
        ladder = clip["codecs"].get(codec.name, {}).get("ladder", [])
        digest = clip["digest"]
        if ladder and not (isinstance(digest, str) and _DIGEST.fullmatch(digest)):
            raise InputError(f"expected a digest of 64 hexadecimal digits, found {digest!r:.80}")
        for row in ladder:
            point = row["point"]
            if type(point) is not int or point not in codec.points:
                raise InputError(f"expected a point of {codec.name}, found {point!r:.80}")
            payload, wire = _finite(row, "payload_kbps"), _finite(row, "wire_kbps")
            if min(payload, wire) <= 0:
                raise InputError(f"expected rates above 0, found {min(payload, wire)}")
            scores = {name: _finite(row["scores"], name) for name in columns}
            yield EarlierPoint(digest, point, payload, wire, scores)


def _finite(row: Mapping[str, Any], name: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"expected a finite {name}, found {value!r:.80}")
    return float(value)
