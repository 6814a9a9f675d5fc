# SPDX-License-Identifier: Apache-2.0
"""What VP8 makes of a clip at each rate: ``python -m talkcodec.rtc.videostudy CLIP [CLIP ...]``.

Prints one JSON object. ``asked``: for each side and divisor of the pictures, what the encoder makes
when it is asked for a rate; ``planned``: what ``videorate`` makes of an estimate of the path, with
no sound. Rates are kbit/s: ``payload`` of VP8, ``wire`` with every header. PSNR (dB) is that of the
pictures sent, shown at 256 by 256.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from talkcodec.media.reader import VideoReader
from talkcodec.media.vp8 import Vp8Encoder
from talkcodec.rtc.rate import RateController
from talkcodec.rtc.videorate import RTP_OVERHEAD, RTP_PAYLOAD, VideoPlan, best_plan
from talkcodec.types import U8, StreamSettings

SIDES, DIVISORS = (256, 192, 128, 96), (1, 2, 3)
RATES = (6_000, 10_000, 20_000, 40_000)
ESTIMATES = (20_000, 30_000, 40_000, 60_000, 80_000, 120_000, 200_000)

#: Every so many-th picture is scored: that takes longer than coding it.
_SCORED = 5

#: Seconds between key pictures, as in a call; bits per second that a caller allows.
_REFRESH, _LIMIT = 5.0, 100_000

Row = dict[str, Any]


def made(pictures: Sequence[U8], fps: float, plan: VideoPlan) -> Row:
    """Return what becomes of ``pictures``, uint8 (256, 256, 3) RGB, by ``plan``."""
    encoder = Vp8Encoder(plan.rate, _fraction(fps) / plan.divisor, plan.side)
    decoder = av.CodecContext.create("libvpx", "r")
    reformatter, due = VideoReformatter(), 0.0
    sizes: list[int] = []
    errors: list[float] = []
    for tick in range(0, len(pictures), plan.divisor):
        key = tick / fps >= due
        due += _REFRESH * key
        data = encoder.encode(pictures[tick], key=key)
        sizes.append(len(data))
        for frame in decoder.decode(av.Packet(data)):
            if len(sizes) % _SCORED:
                continue
            height, width = pictures[tick].shape[:2]
            shown = reformatter.reformat(frame, width, height, "rgb24").to_ndarray()
            errors.append(float(np.mean((shown.astype(np.float64) - pictures[tick]) ** 2)))
    seconds = len(pictures) / fps
    wire = sum(size + RTP_OVERHEAD * -(-size // RTP_PAYLOAD) for size in sizes)
    return {
        "pictures_per_second": round(len(sizes) / seconds, 1),
        "payload": round(sum(sizes) * 8e-3 / seconds, 1),
        "wire": round(wire * 8e-3 / seconds, 1),
        "largest_bytes": max(sizes),
        "psnr": round(float(np.mean([10 * np.log10(65025 / max(e, 1e-3)) for e in errors])), 1),
    }


def asked(pictures: Sequence[U8], fps: float) -> list[Row]:
    """Return a row for each side, divisor and rate."""
    plans = [VideoPlan(r, d, side) for side in SIDES for d in DIVISORS for r in RATES]
    return [
        {"side": plan.side, "divisor": plan.divisor, "asked": plan.rate / 1000}
        | made(pictures, fps, plan)
        for plan in plans
    ]


def planned(pictures: Sequence[U8], fps: float) -> list[Row]:
    """Return a row for each estimate of the path."""
    rows = []
    for estimate in ESTIMATES:
        control = RateController(StreamSettings(), fps)
        control.estimate = float(estimate)
        plan = best_plan(control.spare(0.0), _LIMIT, fps)
        row = {"estimate": estimate / 1000, "side": plan.side, "divisor": plan.divisor}
        rows.append(row | made(pictures, fps, plan))
    return rows


def load(path: Path, seconds: float) -> tuple[list[U8], float]:
    """Return the beginning of a clip at 256 by 256, and its pictures a second."""
    reformatter = VideoReformatter()
    with VideoReader(str(path)) as reader:
        fps = float(reader.info.tick_rate)
        frames = islice(reader, round(seconds * fps))
        return [_reduced(reformatter, frame.picture) for frame in frames], fps


def _reduced(reformatter: VideoReformatter, picture: U8) -> U8:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    frame = reformatter.reformat(frame, 256, 256, interpolation="AREA")
    return np.asarray(frame.to_ndarray(), np.uint8)


def _fraction(fps: float) -> Fraction:
    return Fraction(fps).limit_denominator(1001)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the clips that the command line names, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each clip")
    options = parser.parse_args(arguments)
    result = {}
    for path in options.clips:
        pictures, fps = load(path, options.seconds)
        tables = {"asked": asked(pictures, fps), "planned": planned(pictures, fps)}
        result[path.stem] = {"fps": fps, **tables}
    json.dump(result, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
