# SPDX-License-Identifier: Apache-2.0
"""How far the engines are from torch on what calls show: the portrait, moved about and spoilt."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from talkcodec.errors import InputError
from talkcodec.face.place import Place
from talkcodec.media.sources import Track, portrait_picture
from talkcodec.render.cells import pixels, planes, to_cells
from talkcodec.render.closeup import PARTS
from talkcodec.render.engine import FORMATS, installed, open_engine
from talkcodec.render.engine.signature import Array, Arrays
from talkcodec.types import U8

#: By engine, by output: the largest difference from torch.
Parity = dict[str, dict[str, float]]

#: How far an engine may be from torch, in shares of the largest output, at least of 1.
TOLERANCE = 1e-4

#: How far the files may be from what was trained, in shares of the range of an output over the
#: pictures. Float16 was found to cost 0.0006; a norm that loses its mean costs 0.04 and more.
ROUNDING = 0.02


def check_parity(
    trained: nn.Module, files: Mapping[str, bytes], samples: int
) -> tuple[dict[str, float], Parity]:
    """Run all installed engines on ``samples`` pictures.

    ``trained``: the network before folding and rounding. ``files``: what each engine runs.
    Returns how far torch on the file is from ``trained``, and each engine from torch.

    Raises:
        InputError: the file is further from ``trained`` than ``ROUNDING``, or an engine further
            from torch than ``TOLERANCE``.
    """
    pictures = views(trained, samples)
    wanted = _outputs("torch", files["torch"], pictures)
    before = [_forward(trained, picture) for picture in pictures]
    rounding = _worst(before, wanted)
    for name, worst in rounding.items():
        limit = ROUNDING * _range(before, name)
        if not worst <= limit:  # nor what is no number
            raise InputError(
                f"expected {name} of the files within {limit:.3g} of what was trained, "
                f"found {worst:.3g}"
            )
    reach = {name: max(1.0, *(float(abs(o[name]).max()) for o in wanted)) for name in rounding}
    parity: Parity = {}
    for engine in FORMATS:
        if engine == "torch" or engine not in installed():
            continue
        parity[engine] = _worst(_outputs(engine, files[engine], pictures), wanted)
        for name, worst in parity[engine].items():
            # Written so that what is no number is refused.
            if not worst <= TOLERANCE * reach[name]:
                raise InputError(
                    f"expected {name} of {engine} within {TOLERANCE * reach[name]:.1g} of torch, "
                    f"found {worst:.3g}"
                )
    return rounding, parity


def views(network: nn.Module, count: int) -> list[Arrays]:
    """Return ``count`` inputs of ``network``.

    Pictures, bytes (1, 3, S, S) or cells, are of the portrait and its surroundings, parts of it
    those of other motions; channels beyond them are masks (what is bright in others); numbers are
    smooth noise of about 1.

    Raises:
        InputError: it takes an input of another kind.
    """
    examples: dict[str, Tensor] = network.export_inputs()  # type: ignore[operator]
    random = np.random.default_rng(0)
    portrait = portrait_picture()
    return [
        {name: _example(name, x, portrait, random) for name, x in examples.items()}
        for _ in range(count)
    ]


def _example(name: str, like: Tensor, portrait: U8, random: np.random.Generator) -> Array:
    """Return an input of the shape and type of ``like``."""
    shape = tuple(like.shape)
    if len(shape) != 4 or shape[0] != 1:
        raise InputError(f"expected {name} of (1, C, H, W), found {shape}")
    if like.dtype == torch.float32:
        coarse = torch.from_numpy(random.normal(0, 1, (1, shape[1], 8, 8)).astype(np.float32))
        smooth = nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
        return smooth.numpy()
    if like.dtype != torch.uint8:
        raise InputError(f"expected {name} of bytes or float32, found {like.dtype}")
    if name == "part":
        return _part(portrait, shape[2:], random)
    if shape[2] != shape[3]:
        raise InputError(f"expected {name} of (1, C, S, S), found {shape}")
    if name == "cells":
        seen = planes(to_cells(pixels(_view(portrait, 2 * shape[-1], random)[0])))[None]
    else:
        seen = _view(portrait, shape[-1], random)
    masks = [
        np.where(_view(portrait, shape[-1], random)[:, :1] > 127, 255, 0)
        for _ in range(shape[1] - seen.shape[1])
    ]
    return np.concatenate([seen, *masks], 1).astype(np.uint8)


def _part(portrait: U8, size: tuple[int, ...], random: np.random.Generator) -> U8:
    """Return cells of mouth or eyes, their landmarks moved about, told by others."""
    part = next(part for part in PARTS if (part.height // 2, part.width // 2) == size)
    one, other = (np.array(Track.load().portrait, np.float64) for _ in range(2))
    for marks in (one, other):
        marks[:, :2] += random.normal(0, 4, 2) + random.normal(0, 0.7, marks[:, :2].shape)
    told = part.told(portrait, other)
    seen = part.planes(portrait, one, part.box(one), told)
    return planes(to_cells(pixels(seen)))[None]


def _view(portrait: U8, side: int, random: np.random.Generator) -> U8:
    x, y = random.normal(128, 20, 2).tolist()
    place = Place(x, y, 150 * float(np.exp(random.normal(0, 0.3))), random.normal(0, 0.2))
    crop = place.crop(portrait, side) * random.uniform(0.4, 1.2)
    grain = random.normal(0, random.uniform(0, 15), crop.shape)
    spoilt = np.clip(crop + grain, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(spoilt.transpose(2, 0, 1)[None])


def _outputs(engine: str, file: bytes, inputs: list[Arrays]) -> list[Arrays]:
    opened = open_engine(file, name=engine, precision="f32")  # type: ignore[arg-type]
    try:
        found = (opened.run(given) for given in inputs)
        return [{name: array.copy() for name, array in outputs.items()} for outputs in found]
    finally:
        opened.close()


@torch.no_grad()
def _forward(network: nn.Module, inputs: Arrays) -> Arrays:
    names: tuple[str, ...] = network.export_outputs()  # type: ignore[operator]
    found = network(*(torch.from_numpy(array) for array in inputs.values()))
    found = (found,) if isinstance(found, Tensor) else found
    return {name: value.numpy() for name, value in zip(names, found, strict=True)}


def _worst(found: list[Arrays], wanted: list[Arrays]) -> dict[str, float]:
    return {
        name: max(float(abs(f[name] - w[name]).max()) for f, w in zip(found, wanted, strict=True))
        for name in wanted[0]
    }


def _range(outputs: list[Arrays], name: str) -> float:
    """Return the distance of the largest from the smallest value that an output takes."""
    return max(float(o[name].max()) for o in outputs) - min(float(o[name].min()) for o in outputs)
