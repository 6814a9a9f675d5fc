# SPDX-License-Identifier: Apache-2.0
"""Noise suppression by RNNoise (pyrnnoise, an extra). Nothing else imports it.

The package as a whole wants matplotlib and more; only its binding of the library is loaded.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Self

import numpy as np

from talkcodec.errors import MissingDependency
from talkcodec.media.sound import I16, SoundBlock

#: Samples that the network takes at once, 10 ms.
_FRAME = 480


class Denoiser:
    """Takes noise out of speech, block by block, 10 ms late.

    Raises:
        MissingDependency: pyrnnoise is not installed.
    """

    def __init__(self) -> None:
        self._library = _library()
        self._state = self._library.create()

    def process(self, samples: I16) -> I16:
        """Return ``samples``, int16 (N,) with N a multiple of 480, with less noise."""
        if len(samples) % _FRAME:
            raise ValueError(f"expected a multiple of {_FRAME} samples, found {len(samples)}")
        parts = [
            self._library.process_mono_frame(self._state, samples[start : start + _FRAME])[0]
            for start in range(0, len(samples), _FRAME)
        ]
        return np.concatenate(parts) if parts else samples

    def close(self) -> None:
        """Release the network; may be called again."""
        if self._state is not None:
            self._library.destroy(self._state)
            self._state = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def denoised(source: Iterable[SoundBlock]) -> Iterator[SoundBlock]:
    """Yield the blocks of ``source`` with less noise."""
    with Denoiser() as denoiser:
        for block in source:
            yield SoundBlock(denoiser.process(block.samples), block.time)


@cache
def _library() -> ModuleType:
    package = importlib.util.find_spec("pyrnnoise")
    if package is None or not package.submodule_search_locations:
        raise MissingDependency("expected pyrnnoise, found none: pip install 'talkcodec[denoise]'")
    path = Path(package.submodule_search_locations[0]) / "rnnoise.py"
    spec = importlib.util.spec_from_file_location("talkcodec_rnnoise", path)
    if spec is None or spec.loader is None:
        raise MissingDependency(f"expected pyrnnoise's binding, found none at {path.name}")
    library = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(library)
    return library
