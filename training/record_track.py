# SPDX-License-Identifier: Apache-2.0
"""Record the motion of a clip for the built-in source: ``python -m training.record_track CLIP``.

What is kept are numbers without identity: pose relative to the clip's mean, and movements of the
landmarks relative to the person's own mean shape, both in inter-ocular distances, the second as a
few principal modes. They refer to no expression basis, so they survive a new one.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from talkcodec.face import open_tracker
from talkcodec.media.reader import VideoReader
from talkcodec.media.sources import PORTRAIT_PICTURE, TRACK, portrait_picture
from talkcodec.motion.fit import canonical
from talkcodec.preprocess import CropWindow
from talkcodec.types import F64
from talkcodec.weights import shape_model

#: Modes of movement kept; 16 explain 97 % of a talking clip's variance, the rest is jitter.
MODES = 16
RATE = Fraction(25)


def follow(clip: Path, seconds: float) -> F64:
    """Return the landmarks of a clip, (frames, 478, 3) in canvas units, at 25 frames per second."""
    window = CropWindow()
    times, found = [], []
    with open_tracker("mediapipe") as tracker, VideoReader(clip) as reader:
        for frame in reader:
            if float(frame.time) > seconds:
                break
            face = tracker.track(frame.picture, float(frame.time))
            if face is None:
                raise SystemExit(f"expected a face in every frame, found none at {frame.time} s")
            window.follow(frame.picture.shape, face)
            times.append(float(frame.time))
            found.append(window.to_canvas(face.landmarks))
    landmarks = np.stack(found)
    wanted = np.arange(0, times[-1], float(1 / RATE))
    flat = landmarks.reshape(len(landmarks), -1)
    columns = [np.interp(wanted, times, column) for column in flat.T]
    return np.stack(columns, 1).reshape(len(wanted), -1, 3)


def describe(landmarks: F64) -> dict[str, F64]:
    """Split landmarks (T, 478, 3) into pose (T, 6) and movements: modes (M, 478, 3) × (T, M)."""
    model = shape_model()
    split = [canonical(model, model.mean, frame) for frame in landmarks]
    shapes = np.stack([shape for shape, _ in split])
    own = shapes.mean(0)
    split = [canonical(model, own, frame) for frame in landmarks]
    shapes = np.stack([shape for shape, _ in split])
    pose = np.stack([pose for _, pose in split])
    pose[:, 3:5] /= np.exp(pose[:, 5]).mean()
    moved = (shapes - own).reshape(len(shapes), -1)
    u, singular, modes = np.linalg.svd(moved, full_matrices=False)
    kept = slice(0, MODES)
    print(f"{MODES} modes explain {(singular[kept] ** 2).sum() / (singular**2).sum():.4f}")
    return {
        "pose": pose - pose.mean(0),
        "weights": (u * singular)[:, kept],
        "modes": modes[kept].reshape(-1, *own.shape),
    }


def portrait_landmarks() -> F64:
    """Return the landmarks of the built-in portrait, (478, 3) in canvas units."""
    with open_tracker("mediapipe") as tracker:
        face = tracker.track(portrait_picture(), 0.0)
    if face is None:
        raise SystemExit(f"expected a face in {PORTRAIT_PICTURE.name}, found none")
    return np.asarray(face.landmarks, np.float64)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    track = describe(follow(options.clip, options.seconds))
    track["portrait"] = portrait_landmarks()
    half = {name: np.ascontiguousarray(value, np.float16) for name, value in track.items()}
    save_file(half, TRACK, {"rate": str(RATE)})
    print(f"{TRACK.name}: {len(half['pose'])} frames, {TRACK.stat().st_size} bytes")
    print("pose range", np.ptp(track["pose"], axis=0).round(3))


if __name__ == "__main__":
    main()
