# SPDX-License-Identifier: Apache-2.0
"""For calls whose pictures are of no account."""

from __future__ import annotations

from talkcodec.types import U8, FaceObservation


class Nobody:
    """A tracker that sees no face, at no cost."""

    def track(self, picture: U8, time: float) -> FaceObservation | None:
        assert picture.ndim == 3
        assert time >= 0
        return None

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to release."""
