# SPDX-License-Identifier: Apache-2.0
"""A moving face that needs no camera, no download and nobody's permission.

The portrait is NASA's photograph of astronaut Eileen Collins (S93-33101, 1993), in the public
domain, cropped to 256² from the copy that scikit-image distributes. It is moved by our own
renderer along a track of numbers recorded from a clip published under the MIT or Apache licence:
``python -m training.record_track`` wrote it, and nothing of the recorded person is in it but
how the head, lips and eyes moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from safetensors import safe_open

from talkcodec.errors import WeightsError
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.motion.shape import EXPRESSION_START, GAZE, POSE, ShapeModel
from talkcodec.render.geometric import GeometricRenderer, ReferenceView, Target
from talkcodec.types import CANVAS, F64, LANDMARKS, U8, Frame
from talkcodec.weights import shape_model, topology

FOLDER = Path(__file__).parent / "data"
PORTRAIT_PICTURE = FOLDER / "portrait.webp"
TRACK = FOLDER / "track.safetensors"

#: Standard deviation of the sensor noise added to every frame, in 8-bit steps: a perfectly still
#: background would flatter every codec.
NOISE = 1.5


@dataclass(frozen=True)
class Track:
    """A recorded motion.

    ``rate``: frames per second. ``pose``: (T, 6) relative to its mean, translation in
    inter-ocular distances. ``weights`` (T, M) and ``modes`` (M, 478, 3): movements in the same
    unit. ``portrait``: landmarks (478, 3) of the portrait, canvas units.
    """

    rate: Fraction
    pose: F64
    weights: F64
    modes: F64
    portrait: F64

    @classmethod
    def load(cls, path: Path = TRACK) -> Self:
        """Read the track that ships with the package.

        Raises:
            WeightsError: it is missing or has other shapes.
        """
        if not path.is_file():
            raise WeightsError(f"expected {path.name} in the package, found none")
        with safe_open(path, "numpy") as file:
            rate = Fraction((file.metadata() or {}).get("rate", "0"))
            names = ("pose", "weights", "modes", "portrait")
            tensors = {name: file.get_tensor(name).astype(np.float64) for name in names}
        track = cls(rate, **tensors)
        frames, modes = track.weights.shape
        expected = ((frames, 6), (modes, LANDMARKS, 3), (LANDMARKS, 3))
        found = (track.pose.shape, track.modes.shape, track.portrait.shape)
        if found != expected or rate <= 0:
            raise WeightsError(f"{path.name}: expected shapes {expected}, found {found}")
        return track

    def states(self, model: ShapeModel, scale: float) -> F64:
        """Return the track as changes of motion state, (T, D), in ``model``'s components.

        ``scale``: canvas units an inter-ocular distance of the face to move.
        """
        out = np.zeros((len(self.pose), model.dimension))
        out[:, POSE] = self.pose
        out[:, POSE][:, 3:5] *= scale
        at_rest = fit_state(model, model.mean, model.mean)
        for row, weights in zip(out, self.weights, strict=True):
            moved = np.tensordot(weights, self.modes, 1)
            shown = fit_state(model, model.mean, model.mean + moved)
            row[EXPRESSION_START:] = (shown - at_rest)[EXPRESSION_START:]
            row[GAZE] = (shown - at_rest)[GAZE]
        return out


def portrait_picture(size: int = CANVAS) -> U8:
    """Return the built-in portrait, uint8 (size, size, 3) RGB."""
    stored = cv2.imread(str(PORTRAIT_PICTURE), cv2.IMREAD_COLOR_RGB)
    if stored is None:
        raise WeightsError(f"expected {PORTRAIT_PICTURE.name} in the package, found none")
    picture = np.asarray(stored, np.uint8)
    if picture.shape[0] == size:
        return picture
    method = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method), np.uint8)


def builtin_source(seconds: float, size: int = CANVAS) -> Iterator[Frame]:
    """Yield ``seconds`` of the moving portrait at 25 frames a second, drawn as they are asked for.

    Pictures are uint8 (size, size, 3). The same arguments give the same pictures. The track runs
    forwards and backwards, so that no frame jumps.
    """
    model, track = shape_model(), Track.load()
    neutral = neutral_shape(model, fit_identity(model, track.portrait))
    rest = fit_state(model, neutral, track.portrait)
    view = ReferenceView.make(portrait_picture(size), rest, neutral, model)
    renderer = GeometricRenderer(model, topology())
    changes = track.states(model, float(np.exp(rest[5])))
    noise = np.random.default_rng(0)
    period = 2 * (len(changes) - 1)
    for tick in range(round(seconds * track.rate)):
        place = tick % period
        state = rest + changes[min(place, period - place)]
        picture = renderer.render(Target.make(state, neutral, model), view, [view])
        grain = noise.normal(0.0, NOISE, picture.shape).astype(np.float32)
        noisy = np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8)
        yield Frame(noisy, tick, 1 / track.rate)
