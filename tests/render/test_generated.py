# SPDX-License-Identifier: Apache-2.0
"""The learned renderer draws what its networks were trained to, at both sizes, and says how sure.

With the weights of the package, and the portrait driven by its own track.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from talkcodec import weights
from talkcodec.errors import InputError
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.motion.fit import fit_identity, fit_state, neutral_shape
from talkcodec.render.engine import EngineName
from talkcodec.render.engine.torch import load_network
from talkcodec.render.generated import GeneratedRenderer
from talkcodec.render.geometric import GeometricRenderer, ReferenceView, Target
from talkcodec.render.renderer import open_renderer
from talkcodec.render.restore import HALO, Restorer, tile_starts
from talkcodec.types import F64, U8


def scene(side: int = 256) -> tuple[Target, ReferenceView]:
    """Return the portrait as a reference, and itself, turned a little, to be drawn."""
    model = weights.shape_model()
    marks = np.asarray(Track.load().portrait, np.float64)
    neutral = neutral_shape(model, fit_identity(model, marks))
    state: F64 = fit_state(model, neutral, marks)
    picture = cv2.resize(portrait_picture(), (side, side), interpolation=cv2.INTER_AREA)
    view = ReferenceView.make(np.asarray(picture, np.uint8), state, neutral, model)
    moved = state.copy()
    moved[:6] += (0.05, 0.12, 0.03, 3, -2, 0.02)
    return Target.make(moved, neutral, model), view


def opened(engine: EngineName = "onnxruntime") -> GeneratedRenderer:
    return GeneratedRenderer(
        weights.shape_model(), weights.topology(), engine=engine, precision="f32"
    )


@pytest.fixture(scope="module")
def renderer() -> Iterator[GeneratedRenderer]:
    made = opened()
    yield made
    made.close()


def test_engines_draw_the_same_picture(renderer: GeneratedRenderer) -> None:
    target, view = scene()
    wanted = renderer.render(target, view)
    for engine in ("openvino", "torch"):
        other = opened(engine)
        off = np.abs(other.render(target, view).astype(int) - wanted)
        other.close()
        assert off.max() <= 2, engine
        assert off.mean() < 0.05, engine


def test_what_is_painted_lies_in_memory_as_pictures_do() -> None:
    engines = [weights.open_network("painter", name, "f32") for name in ("openvino", "onnxruntime")]
    random = np.random.default_rng(0)
    inputs = {
        name: random.integers(0, 256, shape).astype(engines[0].signature.types[name])
        for name, shape in engines[0].inputs.items()
    }
    one, other = (engine.run(inputs)["change"] for engine in engines)
    assert one.transpose(0, 2, 3, 1).flags["C_CONTIGUOUS"]
    assert one.shape == other.shape == engines[0].outputs["change"]
    np.testing.assert_allclose(one, other, atol=0.05)
    for engine in engines:
        engine.close()


def test_the_same_target_gives_the_same_picture(renderer: GeneratedRenderer) -> None:
    target, view = scene()
    one = renderer.render(target, view)
    renderer.render(replace(target, landmarks=target.landmarks + 5), view)
    assert np.array_equal(renderer.render(target, view), one)


@pytest.mark.parametrize("side", [256, 512])
def test_it_improves_on_the_warp_and_does_not_leave_it(side: int) -> None:
    target, view = scene(side)
    geometric = GeometricRenderer(weights.shape_model(), weights.topology())
    made = opened()
    warped, drawn = geometric.render(target, view), made.render(target, view)
    made.close()
    assert drawn.shape == warped.shape == (side, side, 3)
    off = np.abs(drawn.astype(int) - warped).mean()
    assert 0.1 < off < 8
    assert made.doubt is not None
    assert 0.5 < made.doubt.picture < 40
    assert 0.5 < made.doubt.face < 60


def test_a_face_that_leaves_is_doubted_more(renderer: GeneratedRenderer) -> None:
    target, view = scene()
    renderer.render(Target.make(view.state, view.shape, weights.shape_model()), view)
    near = renderer.doubt
    far = replace(target, landmarks=target.landmarks + np.array([70, 10, 0]))
    renderer.render(far, view)
    assert near is not None
    assert renderer.doubt is not None
    assert renderer.doubt.picture > near.picture


def test_a_reference_is_restored_once(renderer: GeneratedRenderer) -> None:
    calls: list[U8] = []
    real = renderer._restorer

    class Counting:
        def __call__(self, picture: U8) -> U8:
            calls.append(picture)
            return real(picture)

        def close(self) -> None:
            pass

    renderer._restorer = Counting()  # type: ignore[assignment]
    renderer._restored = {}
    target, view = scene()
    _, other = scene()
    for bank in ((), (view, other), (view,), (other,)):
        renderer.render(target, view, bank)
    renderer._restorer = real
    assert len(calls) == 3  # the other one had been forgotten in between
    assert len(renderer._restored) == 2


def test_larger_pictures_are_restored_in_tiles_without_seams() -> None:
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (40, 40, 3), np.uint8)
    picture = np.asarray(cv2.resize(small, (512, 512), interpolation=cv2.INTER_CUBIC), np.uint8)
    restorer = Restorer("onnxruntime", "f32")
    found = restorer(picture)
    tiny = picture[:64, :64]
    assert restorer(tiny) is tiny  # nothing is known of pictures that small
    restorer.close()
    network = load_network(weights.path("restorer.safetensors").read_bytes()).float()
    with torch.no_grad():
        whole = network(torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()))[0]
    wanted = whole.clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_tiles_cover_a_picture_and_overlap() -> None:
    for side in (257, 300, 512, 1024):
        starts = tile_starts(side, 256)
        assert starts[0] == 0
        assert starts[-1] == side - 256
        steps = np.diff(starts)
        assert (steps <= 256 - 2 * HALO).all()


def test_renderers_are_opened_by_name() -> None:
    assert isinstance(open_renderer("geometric"), GeometricRenderer)
    for name in ("auto", "generated"):
        made = open_renderer(name)
        assert isinstance(made, GeneratedRenderer)
        made.close()
    with pytest.raises(InputError, match=r"^expected a renderer of auto, generated, geometric"):
        open_renderer("magic")  # type: ignore[arg-type]
