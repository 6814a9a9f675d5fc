# SPDX-License-Identifier: Apache-2.0
"""The learned renderer beside the geometric one, on val clips.

::

    python -m training.evaluate.renderers ../shared/data --out training/results/renderers.json
        --sheet runs/hardest.png

Every clip of ``--seconds`` or more is encoded for each, as a sender does who knows what draws at
the receiver; ``kbps`` tells that it takes the same bits. What averages hide is told by itself:
mouths that are open, eyes that are shut, the background, how all of it depends on the pose. The
sheet shows the worst frame of the hardest clips: source, geometric, generated, x264 at our rate.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from talkcodec.bench.codecs import ClassicalCodec, CodecRun, classical, silent_stderr
from talkcodec.bench.source import Source, load_source
from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.face import open_tracker
from talkcodec.metrics.base import Clip
from talkcodec.metrics.dists import Dists
from talkcodec.metrics.face import open_judge, track
from talkcodec.metrics.lpips import Lpips
from talkcodec.motion.landmarks import EYELIDS, LEFT_LID_GAP, LIP_GAP, LIPS, OVAL, RIGHT_LID_GAP
from talkcodec.motion.landmarks import opening as opening_of
from talkcodec.names import RendererName
from talkcodec.render.renderer import Renderer
from talkcodec.types import F32, F64, U8, Bool, Frame, Packet
from training.corpus import clips
from training.evaluate.material import yaw
from training.prepare.mask import PersonMask

RENDERERS: tuple[RendererName, ...] = ("geometric", "generated")
#: Openings, in inter-ocular distances, from which a mouth is open and below which eyes are shut.
OPEN_MOUTH, SHUT_EYES = 0.12, 0.08
#: Frames between two that LPIPS and DISTS look at.
EVERY = 10
#: Bounds of the bins of head yaw, degrees.
YAWS = (0, 10, 20, 30, 90)
#: Clips of 4 s and more whose people wear glasses; none shows a hand before the face.
GLASSES = ("v_p138_c0060_0",)
#: Clips on the sheet.
HARDEST = 12


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a renderer showed. ``doubt``: of each picture, NaN where it had none."""

    frames: list[U8]
    doubt: F64


def encode(source: Source, renderer: RendererName) -> list[Packet]:
    """Return the packets of a clip, as a file holds them. ``renderer``: that judges them."""
    config = EncoderConfig(tick_rate=source.clip.fps, renderer=renderer)
    with closing(open_tracker()) as tracker:
        encoder = Encoder(config, tracker)
        packets = [encoder.header()]
        for index, picture in enumerate(source.clip.frames):
            packets += encoder.encode(Frame(picture, index, 1 / source.clip.fps))
        return packets + encoder.flush()


def draw(packets: Sequence[Packet], count: int, renderer: RendererName | Renderer) -> Drawn:
    """Return ``count`` pictures; where none is new the last one stands, as on a screen."""
    decoder = Decoder(renderer=renderer)
    shown: dict[int, tuple[U8, float]] = {}
    for packet in packets:
        for state in decoder.receive(packet.data):
            if state.fresh:
                picture = decoder.render(state)
                doubt = decoder.doubt
                shown[state.tick] = picture, np.nan if doubt is None else doubt.picture
    last = shown[min(shown)]
    frames, doubts = [], []
    for tick in range(count):
        last = shown.get(tick, last)
        frames.append(last[0])
        doubts.append(last[1])
    return Drawn(frames, np.array(doubts))


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a clip's frames. ``landmarks``: float32 (T, 478, 3), NaN without a face;
    ``background``: bool (T, 256, 256), where no person is, well away from one.
    """

    landmarks: F32
    background: list[Bool]

    @classmethod
    def of(cls, source: Source) -> Truth:
        with closing(open_judge()) as judge:
            seen = track(source.clip, judge)
        blank = np.full((478, 3), np.nan, np.float32)
        mask, kernel = PersonMask(), np.ones((25, 25), np.uint8)
        away = []
        for frame in source.clip.frames:
            person = cv2.resize(mask(frame), frame.shape[:2], interpolation=cv2.INTER_LINEAR)
            away.append(np.asarray(cv2.dilate(person, kernel) < 64, np.bool_))
        return cls(np.stack([blank if face is None else face for face in seen]), away)


def measure(source: Source, truth: Truth, drawn: Drawn) -> dict[str, F64]:
    """Return values by frame, NaN where they say nothing; see ``summary``."""
    pairs = list(zip(source.clip.frames, drawn.frames, strict=True))
    off = [np.abs(a.astype(np.float32) - b).mean(-1) for a, b in pairs]
    marks = truth.landmarks
    lids = [opening_of(marks, gap) for gap in (LEFT_LID_GAP, RIGHT_LID_GAP)]
    rows = {
        "near": np.array([o.mean() for o in off]),
        "face": np.array([_box(o, m, OVAL, 0) for o, m in zip(off, marks, strict=True)]),
        "mouth": np.array([_box(o, m, LIPS, 6) for o, m in zip(off, marks, strict=True)]),
        "eyes": np.array([_box(o, m, EYELIDS, 6) for o, m in zip(off, marks, strict=True)]),
        "open": opening_of(marks, LIP_GAP),
        "lids": (lids[0] + lids[1]) / 2,
        "yaw": np.abs(yaw(marks)),
        "doubt": drawn.doubt,
        "glasses": np.full(len(pairs), float(source.name in GLASSES)),
        **_background(source, truth, drawn),
    }
    scored = slice(0, None, EVERY)
    clip, shown = (Clip(f[scored], Fraction(1)) for f in (source.clip.frames, drawn.frames))
    for metric in (Lpips(), Dists(fast=True)):
        for name, values in metric.against(clip).score(shown).items():
            rows[name] = np.full(len(pairs), np.nan)
            rows[name][scored] = values
    return rows


def _background(source: Source, truth: Truth, drawn: Drawn) -> dict[str, F64]:
    """Return how much the background changes from frame to frame, at the source and drawn."""
    out: dict[str, F64] = {}
    for name, frames in (("still", source.clip.frames), ("flicker", drawn.frames)):
        values = np.full(len(frames), np.nan)
        for index in range(1, len(frames)):
            away = truth.background[index]
            if away.mean() > 0.05:
                change = cv2.absdiff(frames[index], frames[index - 1])[away]
                values[index] = change.mean()
        out[name] = values
    return out


def summary(rows: dict[str, F64]) -> dict[str, float]:
    """Return means of what ``measure`` found over many clips.

    ``mouth_open``: of mouths while open, ``eyes_shut``: of eyes while shut, mean |difference| in
    8-bit steps. ``flicker``: change of the background over the source's own. ``doubt``:
    correlation of its logarithm with that of the true error.
    """
    found = {name: _mean(rows[name]) for name in ("kbps", "lpips", "dists", "near", "face")}
    found["mouth_open"] = _mean(rows["mouth"][rows["open"] > OPEN_MOUTH])
    found["eyes_shut"] = _mean(rows["eyes"][rows["lids"] < SHUT_EYES])
    found["flicker"] = _mean(rows["flicker"]) / _mean(rows["still"])
    told = np.isfinite(rows["doubt"])
    if told.any():
        logs = np.log(rows["doubt"][told]), np.log(rows["near"][told])
        found["doubt"] = float(np.corrcoef(*logs)[0, 1])
        found["doubt_bias"] = float(np.exp((logs[0] - logs[1]).mean()))
    return found


def by_condition(rows: dict[str, F64]) -> dict[str, dict[str, float]]:
    """Return the same by head yaw and by mouth: where it fails."""
    bins = {
        f"yaw {low} to {high}": (rows["yaw"] >= low) & (rows["yaw"] < high)
        for low, high in pairwise(YAWS)
    }
    bins["mouth open"] = rows["open"] > OPEN_MOUTH
    bins["mouth shut"] = rows["open"] <= OPEN_MOUTH
    bins["eyes shut"] = rows["lids"] < SHUT_EYES
    bins["glasses"] = rows["glasses"] > 0
    bins["no glasses"] = rows["glasses"] == 0
    names = ("lpips", "dists", "near", "face", "mouth", "eyes")
    return {
        name: {"frames": int(there.sum()), **{n: _mean(rows[n][there]) for n in names}}
        for name, there in bins.items()
    }


def _box(off: F32, marks: F32, points: tuple[int, ...], margin: int) -> float:
    """Return the mean of ``off`` within the box around ``points``, NaN without a face."""
    here = marks[list(points), :2]
    if not np.isfinite(here).all():
        return np.nan
    low = np.clip(np.floor(here.min(0)).astype(int) - margin, 0, off.shape[0] - 1)
    high = np.clip(np.ceil(here.max(0)).astype(int) + margin, low + 1, off.shape[0])
    return float(off[low[1] : high[1], low[0] : high[0]].mean())


def _mean(values: F64) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def worst_panel(
    source: Source, drawn: Sequence[Drawn], rows: dict[str, F64], rate: float, codec: ClassicalCodec
) -> U8:
    """Return the frame that LPIPS finds worst: source, each of ``drawn``, ``codec`` at ``rate``."""
    index = int(np.nanargmax(rows["lpips"]))
    # From the coarsest on: the last one that needs no more than we do, or the coarsest.
    other: CodecRun | None = None
    for point in sorted(codec.points, reverse=True):
        with silent_stderr():
            run = codec.encode_decode(source.clip.frames, source.clip.fps, point)
        over = codec.rate(run.packets, source.clip.seconds).payload > rate
        other = run if other is None or not over else other
        if over:
            break
    assert other is not None
    shown = [source.clip.frames[index], *(d.frames[index] for d in drawn), other.frames[index]]
    return np.hstack(shown)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--most", type=int, default=1000, help="clips")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    content = run(args.data, args.seconds, args.most, args.sheet)
    args.out.write_text(json.dumps(content, indent=1) + "\n")
    print(json.dumps(content["all"], indent=1))


def run(data: Path, seconds: float, most: int, sheet: Path | None) -> dict[str, Any]:
    """Measure the val clips of ``seconds`` or more; return what ``main`` writes."""
    chosen = [clip for clip in clips(data, "val") if clip.seconds >= seconds][:most]
    found: dict[str, list[dict[str, F64]]] = {name: [] for name in RENDERERS}
    panels: list[tuple[float, U8]] = []
    for clip in chosen:
        source = load_source(clip.path)
        coded, truth = [encode(source, name) for name in RENDERERS], Truth.of(source)
        drawn = [
            draw(packets, len(source.clip.frames), name)
            for packets, name in zip(coded, RENDERERS, strict=True)
        ]
        lasted = source.clip.seconds
        rates = [sum(len(p.data) for p in packets) * 8e-3 / lasted for packets in coded]
        for name, shown, rate in zip(RENDERERS, drawn, rates, strict=True):
            rows = measure(source, truth, shown)
            found[name].append(rows | {"kbps": np.full(len(shown.frames), rate)})
        rows = found[RENDERERS[0]][-1]
        if sheet is not None:
            panel = worst_panel(source, drawn, rows, rates[-1], classical("x264"))
            panels.append((_mean(rows["lpips"]), panel))
        told = ", ".join(f"{n} {_mean(found[n][-1]['lpips']):.4f}" for n in RENDERERS)
        print(f"{clip.name}: LPIPS {told}", file=sys.stderr)
    if sheet is not None:
        panels.sort(key=lambda entry: -entry[0])
        picture = np.vstack([panel for _, panel in panels[:HARDEST]])
        cv2.imwrite(str(sheet), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    merged = {name: _merged(rows) for name, rows in found.items()}
    return {
        "clips": [clip.name for clip in chosen],
        "all": {name: summary(rows) for name, rows in merged.items()},
        "conditions": {name: by_condition(rows) for name, rows in merged.items()},
    }


def _merged(rows: list[dict[str, F64]]) -> dict[str, F64]:
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


if __name__ == "__main__":
    main()
