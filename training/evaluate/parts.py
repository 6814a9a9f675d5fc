# SPDX-License-Identifier: Apache-2.0
"""What each network of the learned renderer is worth: the same packets drawn without it.

::

    python -m training.evaluate.parts ../shared/data --below 9

Val clips of ``--seconds`` or more, and shorter than ``--below``, are encoded once. ``original``
draws from what the camera saw in place of the references: what a perfect restorer would give.
``nothing lent`` fills what the warp tears from around it, whatever other references show there.
Without ``matte`` walls move with the head before them, though layers were chosen for walls that
stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.bench.source import Source, load_source
from talkcodec.metrics.base import Clip, Metric
from talkcodec.metrics.dists import Dists
from talkcodec.metrics.lpips import Lpips
from talkcodec.render.generated import GeneratedRenderer
from talkcodec.render.geometric import GeometricRenderer, ReferenceView, Target
from talkcodec.render.staging import Staged
from talkcodec.types import F32, U8
from training.corpus import clips
from training.evaluate.renderers import draw, encode

#: Networks in use, by the name of the row.
PARTS: dict[str, tuple[str, ...]] = {
    "warp": (),
    "restorer": ("restorer",),
    "restorer, motion": ("restorer", "motion"),
    "restorer, painter": ("restorer", "painter"),
    "motion, painter": ("motion", "painter"),
    "all but mouth and eyes": ("matte", "restorer", "motion", "painter"),
    "all but mouth": ("matte", "restorer", "motion", "painter", "eyes"),
    "all but eyes": ("matte", "restorer", "motion", "painter", "mouth"),
    "all but matte": ("restorer", "motion", "painter", "mouth", "eyes"),
    "all": ("matte", "restorer", "motion", "painter", "mouth", "eyes"),
    "original": ("original",),
    "nothing lent": ("matte", "restorer", "motion", "painter", "mouth", "eyes", "unlent"),
}
#: Frames between two that are scored.
EVERY = 5


class Unlending(GeometricRenderer):
    """References keep to themselves, but for mouth and eyes."""

    def _lender(
        self, target: Target, primary: ReferenceView, bank: Sequence[ReferenceView]
    ) -> None:
        del target, primary, bank


class Partial(GeneratedRenderer):
    """Draws with some of its networks only. ``source``: what the references were, if known."""

    def __init__(self, parts: Sequence[str], source: Source) -> None:
        super().__init__(weights.shape_model(), weights.topology())
        self._chosen = parts
        if "unlent" in parts:
            self._geometric = Unlending(weights.shape_model(), weights.topology())
        self._frames = source.clip.frames
        self._originals: dict[int, tuple[U8, U8]] = {}

    def matte(self, reference: ReferenceView) -> F32 | None:
        return super().matte(reference) if "matte" in self._chosen else None

    def _views(self, views: Sequence[ReferenceView]) -> list[ReferenceView]:
        if "original" in self._chosen:
            pictures = [self._original(view.picture) for view in views]
        elif "restorer" in self._chosen:
            return super()._views(views)
        else:
            pictures = [view.picture for view in views]
        mattes = [self.matte(view) for view in views]
        return [
            replace(view, picture=picture, matte=matte)
            for view, picture, matte in zip(views, pictures, mattes, strict=True)
        ]

    def _original(self, picture: U8) -> U8:
        """Return the source frame that ``picture`` was coded from: the nearest."""
        found = self._originals.get(id(picture))
        if found is None or found[0] is not picture:
            off = [cv2.norm(frame, picture, cv2.NORM_L1) for frame in self._frames]
            found = self._originals[id(picture)] = picture, self._frames[int(np.argmin(off))]
        return found[1]

    def _moved(self, view: ReferenceView, staged: Staged, correction: F32) -> U8:
        if "motion" not in self._chosen:
            correction = np.zeros_like(correction)
        return super()._moved(view, staged, correction)

    def _paint(self, warped: U8, staged: Staged, features: F32) -> U8:
        return super()._paint(warped, staged, features) if "painter" in self._chosen else warped

    def _with_parts(self, painted: U8, warped: U8, staged: Staged) -> U8:
        chosen = tuple(seen for seen in staged.parts if seen.part.name in self._chosen)
        return super()._with_parts(painted, warped, replace(staged, parts=chosen))


def measure(source: Source) -> dict[str, dict[str, float]]:
    """Return by row the scores of one clip, means over its frames."""
    packets, scored = encode(source, "generated"), slice(0, None, EVERY)
    truth = Clip(source.clip.frames[scored], Fraction(1))
    metrics: tuple[Metric, ...] = (Lpips(), Dists(fast=True))
    scorers = [metric.against(truth) for metric in metrics]
    found: dict[str, dict[str, float]] = {}
    for name, parts in PARTS.items():
        with closing(Partial(parts, source)) as renderer:
            shown = draw(packets, len(source.clip.frames), renderer).frames
        clip = Clip(shown[scored], Fraction(1))
        off = [
            np.abs(a.astype(np.float32) - b).mean()
            for a, b in zip(truth.frames, clip.frames, strict=True)
        ]
        found[name] = {"near": float(np.mean(off))}
        for scorer in scorers:
            found[name] |= {n: float(v.mean()) for n, v in scorer.score(clip).items()}
    return found


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--below", type=float, default=1000.0)
    args = parser.parse_args()
    cv2.setNumThreads(1)
    chosen = [c for c in clips(args.data, "val") if args.seconds <= c.seconds < args.below]
    rows = []
    for clip in chosen:
        rows.append(measure(load_source(clip.path)))
        print(f"{clip.name}: {rows[-1]['all']}", file=sys.stderr)
    means = {
        name: {m: float(np.mean([row[name][m] for row in rows])) for m in rows[0][name]}
        for name in PARTS
    }
    print(json.dumps({"clips": len(rows), **means}, indent=1))


if __name__ == "__main__":
    main()
