# SPDX-License-Identifier: Apache-2.0
"""Identity, bank and renderer of a stream, without a stream."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from talkcodec.bitstream import FlowLayer, MotionGroup, Reference
from talkcodec.errors import BitstreamError
from talkcodec.media.sources import portrait_picture
from talkcodec.scene import LayerMemory, Scene


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


def test_a_reference_is_drawn_from_as_format_md_says_or_refused() -> None:
    scene = Scene(2, renderer="geometric")
    good = reference(scene, -127)
    assert len(good.identity or ()) == 40
    for bad in (
        replace(good, slot=2),
        replace(good, state=good.state[1:]),
        replace(good, identity=None),
        replace(good, identity=()),
        replace(good, identity=(0,) * 39),
        replace(good, identity=(0,) * 41),
        replace(good, identity=(128, *(0,) * 39)),
        replace(good, identity=(*(0,) * 39, -128)),
    ):
        with pytest.raises(BitstreamError, match="expected"):
            scene.admit(bad, portrait_picture())
    assert scene.identity is None
    scene.admit(good, portrait_picture())
    scene.admit(replace(good, sequence=1, slot=1, identity=None), portrait_picture())
    assert scene.identity == good.identity


def test_states_are_drawn_up_to_4000_steps_of_their_quantiser() -> None:
    scene = Scene(1, renderer="geometric")
    state = np.full(scene.model.dimension, -(2**20), np.int32)
    for quantiser, finest in enumerate((1.0, 1.5, 2.0, 3.0)):
        drawn = scene.dequantise(state, quantiser)
        np.testing.assert_allclose(drawn, -4000 * finest * scene.model.steps)


def group(
    tick: int, values: int | None, gaps: tuple[int, ...] = (1, 9), of: int = 0
) -> MotionGroup:
    """Return a group of frames whose layer, if any, is six times the same number."""
    flow = None if values is None else FlowLayer(1, np.full(6, values, np.int32))
    states = np.zeros((len(gaps) + 1, 34), np.int32)
    return MotionGroup(tick, gaps, of, 0, states, flow)


def bends(memory: LayerMemory, group: MotionGroup) -> list[list[float]]:
    """Return the values of each frame's layers, and keep the group's."""
    found = [[round(float(values[0]), 3) for _, values in one] for one in memory.layers(group)]
    memory.keep(group)
    return found


def test_a_layer_is_full_where_none_is_in_force_and_fades_where_one_is() -> None:
    memory = LayerMemory()
    assert bends(memory, group(0, None)) == [[], [], []]
    assert bends(memory, group(20, 6)) == [[6], [6], [6]]  # of tick 30
    assert bends(memory, group(31, 12)) == [[4, 4], [8, 2], [12]]  # of tick 41, whatever the gaps
    assert bends(memory, group(20, 3, gaps=())) == [[3]]  # late: not kept, and none was in force
    assert bends(memory, group(91, None)) == [[12], [12], [12]]
    assert bends(memory, group(92, None)) == [[], [], []]  # 51 ticks old
    assert bends(memory, group(60, None, of=1)) == [[], [], []]
    assert bends(memory, group(60, 0)) == [[0, 8], [0, 4], [0]]  # of zeros, kept like any other
    assert bends(memory, group(71, 3, gaps=(1,))) == [[1.5, 0], [3]]
