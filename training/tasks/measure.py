# SPDX-License-Identifier: Apache-2.0
"""How near landmarks are to a teacher's, in shares of the inter-ocular distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, stack

from talkcodec.motion.landmarks import (
    EYELIDS,
    IRISES,
    LEFT_LID_GAP,
    LIP_GAP,
    LIPS,
    RIGHT_LID_GAP,
    inter_ocular,
    opening,
)
from talkcodec.types import F32, F64

#: Openings, in the order of the network's output.
GAPS = (LIP_GAP, LEFT_LID_GAP, RIGHT_LID_GAP)

REGIONS: Mapping[str, Sequence[int]] = {"lips": LIPS, "lids": EYELIDS, "irises": IRISES}


def openings(landmarks: Tensor, scale: Tensor | None = None) -> Tensor:
    """Return lip and lid openings (B, 3) of landmarks (B, 478, 3), in inter-ocular distances.

    ``scale``: landmarks (B, 478, 3) that give the distances; the same ones if not given. A loss
    must give the true ones: else irises are moved apart to make up for a mouth too wide open.
    """
    eyes = landmarks if scale is None else scale
    between = eyes[:, IRISES[0], :2] - eyes[:, IRISES[5], :2]
    ocular = between.norm(dim=-1).clamp(min=0.05)
    gaps = [(landmarks[:, a, :2] - landmarks[:, b, :2]) for a, b in GAPS]
    # The norm of exactly nothing has no slope.
    return stack([(g.square().sum(-1) + 1e-9).sqrt() / ocular for g in gaps], dim=1)


class Scores:
    """Gathers landmarks batch by batch; ``values`` sums up."""

    def __init__(self) -> None:
        self._errors: list[F64] = []
        self._openings: list[tuple[F64, F64]] = []
        self._faces: list[F32] = []

    def add(self, found: F32, teacher: F32, extras: F32 | None = None) -> None:
        """Take in landmarks (B, 478, 3), found and the teacher's, in one unit.

        ``extras``: the network's (B, 4).
        """
        distance = np.linalg.norm(found[..., :2] - teacher[..., :2], axis=-1)
        self._errors.append(distance / inter_ocular(teacher)[:, None])
        self._openings.append(
            (
                np.stack([opening(found, gap) for gap in GAPS], axis=1),
                np.stack([opening(teacher, gap) for gap in GAPS], axis=1),
            )
        )
        if extras is not None:
            self._faces.append(extras[:, 0])

    def values(self) -> dict[str, float]:
        """Return means of the errors (shares of the inter-ocular distance) and correlations."""
        errors = np.concatenate(self._errors)
        found = np.concatenate([pair[0] for pair in self._openings])
        teacher = np.concatenate([pair[1] for pair in self._openings])
        out = {"score": float(errors.mean()), "all": float(errors.mean())}
        out |= {name: float(errors[:, list(i)].mean()) for name, i in REGIONS.items()}
        out["lip_correlation"] = correlation(found[:, 0], teacher[:, 0])
        out["blink_correlation"] = correlation(found[:, 1:].mean(1), teacher[:, 1:].mean(1))
        if self._faces:
            out["missed"] = float((np.concatenate(self._faces) < 0).mean())
        return out


def correlation(one: F64, other: F64) -> float:
    """Return Pearson's correlation, 0 where one of them does not vary."""
    if one.std() < 1e-9 or other.std() < 1e-9:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
