# SPDX-License-Identifier: Apache-2.0
"""A target's face on the grid of the flow: what its flows to all references share."""

from __future__ import annotations

from dataclasses import dataclass

from talkcodec.render.field import FieldConfig, Surround, whole_flow
from talkcodec.render.layer import outside_weight
from talkcodec.render.mesh import Cover, Topology
from talkcodec.types import F32, F64

#: Side of the grid on which flow is computed; flow is smooth, pictures are not.
FLOW_SIDE = 128


@dataclass(frozen=True, slots=True)
class Ground:
    """``landmarks``: of the target, (478, 3), canvas units. ``cover``: its face; ``around``: what
    is not. ``outside``: float32 (128, 128), where flow may be corrected: ``outside_weight``.
    """

    landmarks: F64
    cover: Cover
    around: Surround
    outside: F32

    @classmethod
    def of(cls, landmarks: F64, topology: Topology) -> Ground:
        cover = Cover.of(topology, landmarks, FLOW_SIDE)
        around = Surround.of(landmarks, cover.inside)
        return cls(landmarks, cover, around, outside_weight(landmarks, FLOW_SIDE))

    def flow(
        self, source: F64, rigidity: F64 | None = None, config: FieldConfig | None = None
    ) -> F32:
        """Return the flow to ``source``, landmarks (478, 3): (128, 128, 2), canvas units.

        ``rigidity``, ``config``: of ``whole_flow``.
        """
        ends = self.landmarks, source
        face = self.cover.flow(*ends)
        return whole_flow(face, self.around, *ends, rigidity, config or FieldConfig())
