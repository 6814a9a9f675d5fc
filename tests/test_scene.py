# SPDX-License-Identifier: Apache-2.0
"""Identity, bank and renderer of a stream, without a stream."""

from __future__ import annotations

import numpy as np
import pytest

from talkcodec.bitstream import Reference
from talkcodec.errors import BitstreamError
from talkcodec.media.sources import portrait_picture
from talkcodec.scene import Scene


def reference(scene: Scene, first: int) -> Reference:
    """Return a reference of somebody whose identity begins with ``first``."""
    rest = (0,) * (len(scene.model.identity_steps) - 1)
    state = (0,) * scene.model.dimension
    return Reference(
        sequence=0,
        slot=0,
        key=True,
        tick=0,
        state=state,
        identity=(first, *rest),
        window=None,
        codec=0,
        picture=b"",
    )


def test_the_same_array_is_the_same_target_until_somebody_else_comes() -> None:
    scene = Scene(2, renderer="geometric")
    state = np.zeros(scene.model.dimension)
    with pytest.raises(BitstreamError, match="expected a reference with an identity first"):
        scene.target(state)
    scene.admit(reference(scene, 0), portrait_picture())
    one = scene.target(state)
    assert scene.target(state) is one
    other = scene.target(state.copy())
    assert other is not one
    np.testing.assert_array_equal(other.landmarks, one.landmarks)
    again = scene.target(state)
    scene.admit(reference(scene, 3), portrait_picture())
    assert scene.target(state) is not again
    assert not np.array_equal(scene.target(state).shape, again.shape)
