# SPDX-License-Identifier: Apache-2.0
"""Packets in, pictures out: the sans-I/O decoder.

``receive`` parses and is cheap enough for an event loop, but for the first header, which loads the
networks of a renderer that was only named; ``render`` draws and belongs on a worker thread.
``decode`` does both, for files::

    decoder = Decoder()
    for packet in packets:
        for frame in decoder.decode(packet):
            show(frame.picture)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from talkcodec import weights
from talkcodec.bitstream import (
    Reference,
    StreamHeader,
    classify,
    decode_group,
    group_tick,
)
from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.errors import BitstreamError
from talkcodec.names import DEFAULT_RENDERER, RendererName
from talkcodec.reference.codec import PictureDecoder, open_decoder
from talkcodec.render.generated import Doubt
from talkcodec.render.renderer import Renderer
from talkcodec.scene import Drawing, LayerMemory, Scene
from talkcodec.types import U8


@dataclass(frozen=True, slots=True, eq=False)
class DecodedState:
    """A frame that can be drawn. ``fresh``: from its own packet, not from a redundant copy."""

    tick: int
    drawing: Drawing
    fresh: bool = True

    @property
    def reference(self) -> int:
        """Sequence number of the reference it is drawn from."""
        return self.drawing.reference


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """A drawn frame. ``picture``: uint8 (S, S, 3) RGB; ``tick``: when, in the stream's ticks."""

    picture: U8
    tick: int

    @property
    def synthesised(self) -> bool:
        """Whether the picture looks like the person and is no photograph: always, here."""
        return True


class Decoder:
    """Decodes one stream. Keeps at most 8 references and one group of motion in memory.

    A header that differs from the one before in more than its tick begins another stream with an
    empty bank. How often a peer may do that is for a call to say: ``talkcodec.rtc.limits``.
    """

    def __init__(
        self,
        stopwatch: Stopwatch | None = None,
        renderer: RendererName | Renderer = DEFAULT_RENDERER,
    ) -> None:
        """``renderer``: what draws, by name or one of your own; nothing decoded depends on it."""
        self._stopwatch = stopwatch or NullStopwatch()
        self._renderer = renderer
        self._tables = weights.tables()
        self._header: StreamHeader | None = None
        self._scene: Scene | None = None
        self._pictures: tuple[int, PictureDecoder] | None = None
        self._last_tick = 0
        self._layers = LayerMemory()

    @property
    def header(self) -> StreamHeader:
        """The stream's parameters.

        Raises:
            BitstreamError: no header has been received yet.
        """
        if self._header is None:
            raise BitstreamError("expected a stream header first, found none")
        return self._header

    @property
    def references(self) -> tuple[int, ...]:
        """Sequence numbers of the references that can be drawn from now."""
        return tuple(r.sequence for r in self._scene.bank) if self._scene else ()

    @property
    def doubt(self) -> Doubt | None:
        """How wrong the picture drawn last is expected to be; None where nothing tells."""
        return self._scene.renderer.doubt if self._scene else None

    def receive(self, data: bytes) -> list[DecodedState]:
        """Take one packet and return the frames it makes drawable, redundant ones included.

        Raises:
            BitstreamError: ``data`` is not a packet of this stream; nothing is drawn otherwise
                than without it, but the ticks of motion count on from a packet that only lacks
                the rest (FORMAT.md section 6). ``MissingReference`` and ``VersionError`` are
                special cases.
        """
        kind = classify(data)
        if kind == "header":
            self._receive_header(data)
        elif kind == "reference":
            with self._stopwatch.stage("decode"):
                self._receive_reference(data)
        elif kind == "motion":
            with self._stopwatch.stage("decode"):
                return self._receive_motion(data)
        else:
            raise BitstreamError(f"expected a header, reference or motion packet, found {kind}")
        return []

    def render(self, state: DecodedState, size: int | None = None) -> U8:
        """Return the picture of ``state``: uint8 (size, size, 3), by default the stream's size.

        Raises:
            MissingReference: its reference has left the bank since.
        """
        scene = self._require_scene()
        picture = scene.draw(state.drawing)
        return picture if size in (None, picture.shape[0]) else resize(picture, size or 0)

    def decode(self, data: bytes) -> list[DecodedFrame]:
        """Take one packet and return the frames it brings, drawn."""
        fresh = [state for state in self.receive(data) if state.fresh]
        return [DecodedFrame(self.render(state), state.tick) for state in fresh]

    def _receive_header(self, data: bytes) -> None:
        header = StreamHeader.parse(data)
        header.require_tables(self._tables.hash)
        if self._header is None or self._key(header) != self._key(self._header):
            self._scene = Scene(header.max_bank, self._stopwatch, self._renderer)
            # Loading networks takes far longer than a header: the next scene draws with the same.
            self._renderer = self._scene.renderer
            self._pictures = None
            self._layers = LayerMemory()
        self._header = header
        self._last_tick = header.tick

    @staticmethod
    def _key(header: StreamHeader) -> tuple[object, ...]:
        return header.size, header.tick_rate, header.max_bank

    def _receive_reference(self, data: bytes) -> None:
        scene = self._require_scene()
        reference = Reference.parse(data)
        scene.check(reference)
        pictures = self._pictures
        if pictures is None or pictures[0] != reference.codec:
            pictures = reference.codec, open_decoder(reference.codec, self.header.size)
        picture = pictures[1].decode(
            reference.picture, key=reference.key, sequence=reference.sequence
        )
        self._pictures = pictures
        scene.admit(reference, picture)

    def _receive_motion(self, data: bytes) -> list[DecodedState]:
        scene = self._require_scene()
        self._last_tick = group_tick(data, self._last_tick)
        group = decode_group(data, scene.bank.states(), self._tables, self._last_tick)
        layers = self._layers.layers(group)
        out = []
        if group.redundant is not None:
            copy = group.redundant
            for tick, row in zip(copy.ticks, copy.states, strict=True):
                drawing = Drawing(group.reference, scene.dequantise(row, copy.quantiser), layers[0])
                out.append(DecodedState(tick, drawing, fresh=False))
        for tick, row, bend in zip(group.ticks, group.states, layers, strict=True):
            drawing = Drawing(group.reference, scene.dequantise(row, group.quantiser), bend)
            out.append(DecodedState(tick, drawing))
        self._layers.keep(group)
        return out

    def _require_scene(self) -> Scene:
        if self._scene is None:
            raise BitstreamError("expected a stream header first, found none")
        return self._scene


def resize(picture: U8, side: int) -> U8:
    """Return ``picture`` at ``side``², by area when shrinking and bicubic when growing."""
    import cv2

    method = cv2.INTER_AREA if side < picture.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), np.uint8)
