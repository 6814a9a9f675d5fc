# SPDX-License-Identifier: Apache-2.0
"""Fit the face shape bases: ``python -m training.fit_motion --labels runs/labels``.

Landmarks of permissively licensed train clips are brought to a canonical pose (generalised
Procrustes analysis), each clip's mean is taken as its person's neutral shape, and principal
components are taken of the people (identity) and of what is left over time (expression), with
lips and eyelids weighted up and depth down. Writes ``motion.safetensors``; tables have to be fitted
anew then (``training.fit_tables``). A basis serves the tracker that it was fitted to: of another
one's landmarks it leaves half as much again out, and more.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from talkcodec.motion.landmarks import BROWS, EYELIDS, IRISES, LIPS, inter_ocular
from talkcodec.motion.shape import EXPRESSION_START, ShapeModel, fit_pose, iris_free_rigidity
from talkcodec.types import F64, LANDMARKS
from training.corpus import DATA, clips, load_labels
from training.fit_tables import update_manifest

#: Components of identity; enough for 0.3 % of the inter-ocular distance (training/RESULTS.md).
IDENTITY = 40
#: Quantiser step of an identity component: its RMS displacement in inter-ocular distances.
IDENTITY_STEP = 0.006
#: Typical inter-ocular distance on the canvas, to put translation in proportion: canvas units.
TYPICAL_IOD = 50.0


@dataclass(frozen=True, slots=True)
class Basis:
    """Principal components before a number of them is chosen: ``directions`` (n, 1434) of the
    weighted data, ``shapes`` (n, 478, 3) unweighted, ``weights`` (478, 3).
    """

    directions: F64
    shapes: F64
    weights: F64


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--labels", type=Path, default=Path("runs/labels"))
    parser.add_argument("--out", type=Path, default=Path("talkcodec/weights/motion.safetensors"))
    parser.add_argument("--components", type=int, default=24)
    parser.add_argument("--step", type=float, default=0.41, help="%% of the inter-ocular distance")
    args = parser.parse_args()
    mean, identity, expression = fit_bases(args.data, args.labels)
    build_model(mean, identity, expression, args.components, args.step).save(args.out)
    args.out.chmod(0o644)
    update_manifest(args.out.parent)
    print(f"{args.out}: {args.components} components of expression, step {args.step} %")


def fit_bases(data: Path, labels: Path) -> tuple[F64, Basis, Basis]:
    """Return the mean shape (478, 3) and the bases of identity and expression."""
    people: dict[int, list[F64]] = {}
    tracks = []
    for clip in clips(data, "train", permissive=True):
        label = load_labels(labels, clip)
        if label.found.any():
            tracks.append((clip.identity, label.on_canvas()[label.found]))
    mean = mean_shape(np.concatenate([track[::6] for _, track in tracks]))
    residuals = []
    for person, track in tracks:
        neutral = canonicalise(mean, track).mean(0)
        shapes = canonicalise(neutral, track)
        people.setdefault(person, []).append(shapes.mean(0))
        residuals.append((shapes - shapes.mean(0))[::2])
    flat = np.ones((LANDMARKS, 3))
    flat[:, 2] = 0.5
    identity = components(np.concatenate(list(people.values())) - mean, flat, IDENTITY)
    featured = np.ones((LANDMARKS, 3))
    featured[:, 2] = 0.3
    featured[list(LIPS)] *= 2.0
    featured[list(EYELIDS)] *= 3.5
    featured[list(IRISES)] = 0.0
    return mean, identity, components(np.concatenate(residuals), featured, 60)


def rigidity() -> F64:
    """Return how much each landmark (478,) counts in the pose: the rigid skull most."""
    weights = np.ones(LANDMARKS)
    weights[list(LIPS)] = 0.1
    weights[list(EYELIDS)] = 0.3
    weights[list(BROWS)] = 0.3
    return iris_free_rigidity(weights)


def canonicalise(shape: F64, track: F64) -> F64:
    """Return ``track`` (T, 478, 3) in the pose and scale of ``shape`` (478, 3)."""
    weights = rigidity()
    out = np.empty_like(track)
    for index, landmarks in enumerate(track):
        scale, rotation, translation = fit_pose(shape, landmarks, weights)
        out[index] = (landmarks - translation) @ rotation / scale
    return out


def mean_shape(samples: F64, rounds: int = 6) -> F64:
    """Return the Procrustes mean (478, 3): unit inter-ocular distance, pose of the first sample."""
    weights = rigidity()[:, None]
    mean = samples[0] / inter_ocular(samples[0])
    for _ in range(rounds):
        mean = canonicalise(mean, samples).mean(0)
        mean = mean - (weights * mean).sum(0) / weights.sum()
        mean = mean / inter_ocular(mean)
    return np.asarray(mean, np.float64)


def components(samples: F64, weights: F64, count: int) -> Basis:
    """Return weighted principal components, and the shapes that belong to them."""
    weighted = (samples * weights).reshape(len(samples), -1)
    _, vectors = np.linalg.eigh(weighted.T @ weighted)
    directions = vectors[:, ::-1][:, :count].T
    scores = weighted @ directions.T
    shapes = np.linalg.lstsq(scores, samples.reshape(len(samples), -1), rcond=None)[0]
    return Basis(directions, shapes.reshape(count, LANDMARKS, 3), weights)


def build_model(
    mean: F64, identity: Basis, expression: Basis, count: int, step: float
) -> ShapeModel:
    """Keep ``count`` expression components and choose all quantiser steps.

    ``step``: RMS displacement of the landmarks, lips and eyelids counting double, that one step
    of any component makes, in % of the inter-ocular distance.
    """
    unit = step / 100
    emphasis = np.ones(LANDMARKS)
    emphasis[list(LIPS + EYELIDS)] = 2.0
    shapes = expression.shapes[:count]
    moved = np.sqrt(((shapes[..., :2] ** 2).sum(-1) * emphasis).sum(-1) / emphasis.sum())
    x, y, z = np.sqrt((mean**2).mean(0))
    steps = np.empty(EXPRESSION_START + count)
    steps[0:2] = 0.8 * unit / z
    steps[2] = steps[5] = unit / np.hypot(x, y)
    steps[3:5] = unit * TYPICAL_IOD
    steps[6:10] = 1.2 * unit
    steps[EXPRESSION_START:] = unit / moved
    spread = np.sqrt((identity.shapes[..., :2] ** 2).sum(-1).mean(-1))
    return ShapeModel(
        mean=mean,
        identity=identity.shapes,
        identity_project=identity.directions * identity.weights.reshape(-1),
        expression=shapes,
        expression_project=expression.directions[:count] * expression.weights.reshape(-1),
        rigidity=rigidity(),
        steps=steps,
        identity_steps=IDENTITY_STEP / spread,
    )


if __name__ == "__main__":
    main()
