# SPDX-License-Identifier: Apache-2.0
"""How far decoded landmarks are from those that a tracker saw, which no basis was made for.

The recorded motion that ships is the principal modes of another tracker's landmarks. So it is not
taken for what was tracked: the tracker that ships watches the film that is drawn from it, and its
landmarks go through encoder and decoder. They jitter, turn and speak as it sees them.
"""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec import weights
from talkcodec.bitstream import Reference
from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.face import FaceTracker, open_tracker
from talkcodec.media.sources import builtin_source
from talkcodec.motion.fit import neutral_shape
from talkcodec.motion.landmarks import EYELIDS, LIPS, inter_ocular
from talkcodec.types import CANVAS, F64, U8, FaceObservation

#: Mean distance allowed, in distances of the eyes: of all landmarks, of the lips, of the eyelids.
BOUNDS = {"all": 0.010, "lips": 0.015, "eyelids": 0.015}
#: And in the worst frame: lids that blink in few frames hardly count in the mean.
WORST = 0.020
PARTS = {"all": range(478), "lips": LIPS, "eyelids": EYELIDS}


class Witness:
    """The tracker that ships; keeps what it has seen."""

    def __init__(self) -> None:
        self.seen: list[F64] = []
        self._tracker: FaceTracker = open_tracker()

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        face = self._tracker.track(picture, time)
        assert face is not None
        self.seen.append(face.landmarks.astype(np.float64))
        return face

    def reset(self) -> None:
        self._tracker.reset()

    def close(self) -> None:
        self._tracker.close()


def errors(seen: F64, truth: F64) -> dict[str, float]:
    """Return the mean distance of two sets of landmarks (478, 3), by part."""
    apart = np.linalg.norm((seen - truth)[:, :2], axis=1) / inter_ocular(truth)
    return {name: float(apart[list(part)].mean()) for name, part in PARTS.items()}


def too_far(frames: list[dict[str, float]]) -> dict[str, tuple[float, float]]:
    """Return mean and worst error of the parts that do not keep to their bounds."""
    found = {name: [frame[name] for frame in frames] for name in PARTS}
    return {
        name: (float(np.mean(values)), max(values))
        for name, values in found.items()
        if np.mean(values) >= BOUNDS[name] or max(values) >= WORST
    }


@pytest.fixture(scope="module")
def coded() -> list[tuple[F64, F64, F64]]:
    """Of each frame: the landmarks tracked, the state decoded, and the neutral face."""
    model, witness = weights.shape_model(), Witness()
    encoder = Encoder(EncoderConfig(startup=0.0), witness)
    packets = [encoder.header()]
    for frame in builtin_source(3.0):
        packets += encoder.encode(frame)
    packets += encoder.flush()
    witness.close()
    first = Reference.parse(next(p.data for p in packets if p.kind == "reference"))
    assert first.identity is not None
    assert first.window is not None
    neutral = neutral_shape(model, first.identity)
    left, top, right, _ = first.window
    decoder, out = Decoder(renderer="geometric"), []
    for packet in packets:
        for state in decoder.receive(packet.data):
            place = witness.seen[state.tick] - (left, top, 0)
            out.append((place * CANVAS / (right - left), state.drawing.state, neutral))
    assert len(out) == len(witness.seen)
    return out


def test_coded_landmarks_stay_near_the_tracked_ones(coded: list[tuple[F64, F64, F64]]) -> None:
    model = weights.shape_model()
    assert too_far([errors(model.expand(own, state), truth) for truth, state, own in coded]) == {}


def test_a_face_that_does_not_move_would_be_too_far(coded: list[tuple[F64, F64, F64]]) -> None:
    """The bounds ask for the expression: with pose and gaze alone no part keeps to them."""
    model = weights.shape_model()
    still = coded[0][1][10:]
    frames = [
        errors(model.expand(own, np.concatenate([state[:10], still])), truth)
        for truth, state, own in coded
    ]
    assert set(too_far(frames)) == set(PARTS)
