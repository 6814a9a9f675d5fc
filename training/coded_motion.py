# SPDX-License-Identifier: Apache-2.0
"""What motion costs and loses in the codec as it ships: ``python -m training.coded_motion``.

Encodes val clips of 4 s and more with the shipped tracker, as a file and as a call, and compares
the landmarks that a receiver draws by with those that the tracker saw, in % of the inter-ocular
distance: smoothing, basis, quantiser and all. Bytes are those of motion packets, by frame, without
and with what the stream says of motion beyond the face.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from talkcodec import weights
from talkcodec.bench.source import Source, load_source
from talkcodec.bitstream import encode_group
from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig, GroupTrace
from talkcodec.face import FaceTracker, open_tracker
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS, inter_ocular
from talkcodec.render.geometric import GeometricRenderer, Layer, ReferenceView, Target
from talkcodec.types import F64, U8, FaceObservation, Frame, Packet
from training.corpus import DATA, clips

PARTS = {"lips": LIPS, "eyelids": EYELIDS, "irises": IRISES}


class Noting:
    """A tracker that keeps what it saw, by time."""

    def __init__(self, tracker: FaceTracker) -> None:
        self._tracker = tracker
        self.seen: list[tuple[float, F64]] = []

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        found = self._tracker.track(picture, time)
        if found is not None:
            self.seen.append((time, found.landmarks.astype(np.float64)))
        return found

    def reset(self) -> None:
        self._tracker.reset()

    def close(self) -> None:
        self._tracker.close()


class Told(GeometricRenderer):
    """Draws nothing, and keeps where landmarks should be."""

    landmarks: F64 | None = None

    def render(
        self,
        target: Target,
        primary: ReferenceView,
        bank: Sequence[ReferenceView] = (),
        layers: Sequence[Layer] = (),
    ) -> U8:
        del bank, layers
        self.landmarks = target.landmarks
        return primary.picture


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--seconds", type=float, default=4, help="of clips at least")
    parser.add_argument("--clips", type=int, default=1000, help="at most")
    parser.add_argument("--out", type=Path, help="write the rows as JSON")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    chosen = clips(args.data, args.split, seconds=args.seconds)[: args.clips]
    print("| | B a frame | with layers | all | lips | eyelids | irises |")
    print("|---|---|---|---|---|---|---|")
    rows = {}
    for name, redundancy in (("file", False), ("call", True)):
        measured = [measure(load_source(clip.path), redundancy=redundancy) for clip in chosen]
        row = {key: float(np.mean([m[key] for m in measured])) for key in measured[0]}
        print("| " + " | ".join([name, *(f"{value:.2f}" for value in row.values())]) + " |")
        rows[name] = row
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def measure(source: Source, *, redundancy: bool) -> dict[str, float]:
    """Return bytes a frame and errors of one clip, each frame counting alike."""
    groups: list[GroupTrace] = []
    settings = EncoderConfig(tick_rate=source.clip.fps, redundancy=redundancy)
    with closing(Noting(open_tracker())) as tracker:
        encoder = Encoder(settings, tracker, trace=groups.append)
        packets = [encoder.header()]
        for index, picture in enumerate(source.clip.frames):
            packets += encoder.encode(Frame(picture, index, 1 / source.clip.fps))
        packets += encoder.flush()
        seen = {round(time * settings.tick_rate): marks for time, marks in tracker.seen}
    frames = sum(len(trace.group.states) for trace in groups)
    tables = weights.tables()
    bare = sum(
        len(encode_group(replace(t.group, flow=None), t.reference_state, tables)) for t in groups
    )
    whole = sum(len(packet.data) for packet in packets if packet.kind == "motion")
    return {"bytes": bare / frames, "layered": whole / frames, **errors(told_by(packets), seen)}


def told_by(packets: Sequence[Packet]) -> dict[int, F64]:
    """Return the landmarks (478, 3), canvas units, that a receiver draws by, by tick."""
    told = Told(weights.shape_model(), weights.topology())
    decoder, out = Decoder(renderer=told), {}
    for packet in packets:
        for state in decoder.receive(packet.data):
            if state.fresh:
                decoder.render(state)
                assert told.landmarks is not None
                out[state.tick] = told.landmarks
    return out


def errors(coded: Mapping[int, F64], tracked: Mapping[int, F64]) -> dict[str, float]:
    """Return how far landmarks are apart, in % of the inter-ocular distance, where both are."""
    both = sorted(coded.keys() & tracked.keys())
    ours, theirs = (np.stack([marks[tick] for tick in both]) for marks in (coded, tracked))
    distance = np.linalg.norm((ours - theirs)[..., :2], axis=-1)
    percent = 100 * distance / inter_ocular(theirs)[:, None]
    parts = {name: float(percent[:, list(points)].mean()) for name, points in PARTS.items()}
    return {"all": float(percent.mean()), **parts}


if __name__ == "__main__":
    main()
