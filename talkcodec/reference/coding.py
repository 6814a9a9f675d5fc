# SPDX-License-Identifier: Apache-2.0
"""Codes the references of a stream, in the thread that asks or while its other work goes on.

A key picture takes an encoder as long as a frame lasts: in a call the next frame would wait for it,
and with it the group that it is in.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from talkcodec.clock import NullStopwatch, Stopwatch
from talkcodec.reference.codec import CodecId, EncodedPicture, open_encoder
from talkcodec.types import U8

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Coded(Generic[T]):
    """A ``picture``, coded. ``of``: what it was given with; ``key``: whether one was asked for."""

    of: T
    key: bool
    picture: EncodedPicture


class ReferenceCoder(Generic[T]):
    """One picture at a time: ``begin``, then ``take`` until it is there. One thread owns it.

    ``background``: where pictures are coded; None for the thread that calls ``begin``. The stage
    "reference encode" is timed by ``stopwatch``.
    """

    def __init__(
        self,
        codec: CodecId,
        side: int,
        background: Executor | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> None:
        self._codec, self._side = codec, side
        self._background = background
        self._stopwatch = stopwatch or NullStopwatch()
        self._coarse = False
        self._pictures = open_encoder(codec, side)
        self._under_way: Future[Coded[T]] | None = None

    @property
    def busy(self) -> bool:
        """Whether there is a picture to ``take``, now or later."""
        return self._under_way is not None

    def begin(self, of: T, picture: U8, *, key: bool, coarse: bool) -> None:
        """Code ``picture``: uint8 (S, S, 3). ``coarse``: if it begins a chain, its quality.

        What was begun before and not taken is lost; ``key`` must be true then. Without a
        background, raises what coding raises.
        """
        self.drop()
        if self._background is not None:
            self._under_way = self._background.submit(self._code, of, picture, key, coarse)
            return
        done = self._code(of, picture, key, coarse)
        self._under_way = Future()
        self._under_way.set_result(done)

    def take(self, *, wait: bool = False) -> Coded[T] | None:
        """Return what was begun, if it is there or after a ``wait``, or raise what that raised."""
        if self._under_way is None or not (wait or self._under_way.done()):
            return None
        done, self._under_way = self._under_way, None
        return done.result()

    def drop(self) -> None:
        """Forget what is under way: the next picture must be a key picture."""
        with suppress(Exception):
            self.take(wait=True)  # the encoder serves one at a time

    def _code(self, of: T, picture: U8, key: bool, coarse: bool) -> Coded[T]:  # noqa: FBT001
        if key and coarse != self._coarse:
            self._coarse = coarse
            self._pictures.close()
            self._pictures = open_encoder(self._codec, self._side, coarse=coarse)
        with self._stopwatch.stage("reference encode"):
            return Coded(of, key, self._pictures.encode(picture, key=key))
