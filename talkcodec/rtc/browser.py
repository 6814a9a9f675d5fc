# SPDX-License-Identifier: Apache-2.0
"""The local connection with a web page: its camera and microphone in, a call's other side out.

Both ends are on one machine, so no STUN and no TURN; the page's description is screened like that
of any stranger. So is what it sends: aiortc queues it without bound in front of its decoders and
behind them, and waits for both at the end, so they are ours (``decoding``), and each part of the
connection gets its time to end (``ending``).
"""

from __future__ import annotations

import asyncio

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from talkcodec.errors import TalkcodecError
from talkcodec.rtc.bridge import ReconstructedSound, ReconstructedTrack, TrackFrames, TrackSound
from talkcodec.rtc.decoding import Decoding, LineKind
from talkcodec.rtc.ending import end
from talkcodec.rtc.feedback import keep_reporting
from talkcodec.rtc.guard import screen
from talkcodec.rtc.sources import allow_few_sources


class BrowserPeer:
    """One connection with a page. Make it inside a running event loop.

    ``picture``, ``sound``: what the page shows and plays. ``frames``, ``heard``: what it gives,
    None before ``answer`` or where it gives none. What waits is bounded everywhere: of sound the
    oldest is dropped, of pictures all up to a key picture (``DecoderQueue``), and of what is
    decoded the oldest (``NewestFrames``, ``TrackFrames``). ``refused``: why we ended it, if so.
    """

    def __init__(self) -> None:
        config = RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self._connection = RTCPeerConnection(config)
        self.picture, self.sound = ReconstructedTrack(), ReconstructedSound()
        self.frames: TrackFrames | None = None
        self.heard: TrackSound | None = None
        self.refused: str | None = None
        self._tracks: list[MediaStreamTrack] = []
        self._decoding: list[Decoding] = []
        self._ending: asyncio.Task[None] | None = None
        self._connection.on("track", self._tracks.append)

    async def answer(self, offer: str) -> str:
        """Take the page's description and return ours.

        Raises:
            TalkcodecError: it is none, or none of a page's.
        """
        offer = screen(offer, channels=0)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._bound()
            self._connection.addTrack(self.picture)
            self._connection.addTrack(self.sound)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # aiortc raises whatever its parser stumbles over
            raise TalkcodecError(f"expected a page's description, found: {error!r}") from error
        return self._connection.localDescription.sdp

    async def close(self) -> None:
        """End the connection and its tracks, in some seconds at most; may be called again."""
        await asyncio.shield(self._end())

    def _end(self) -> asyncio.Task[None]:
        """Return what ends the connection: a task, which goes on when nobody waits any more."""
        if self._ending is None:
            for source in (self.frames, self.heard):
                if source is not None:
                    source.close()
            self.picture.stop()
            self.sound.stop()
            self._ending = asyncio.ensure_future(self._run_down())
        return self._ending

    async def _run_down(self) -> None:
        await end(self._connection)
        await asyncio.gather(*(each.ended() for each in self._decoding))

    def _bound(self) -> None:
        """Put bounds around what the page, whose description was just taken, makes us keep."""
        for each in self._connection.getTransceivers():
            kind: LineKind = "video" if each.kind == "video" else "audio"
            self._decoding.append(Decoding(each.receiver, kind))
            keep_reporting(each.receiver)
            if kind == "video":
                # What waits is known by its key pictures, and those of VP8 are.
                capable = RTCRtpSender.getCapabilities("video").codecs
                each.setCodecPreferences([one for one in capable if one.mimeType == "video/VP8"])
        allow_few_sources(self._connection, self._refuse)
        for track in self._tracks:  # which nobody may read before
            self._take(track)

    def _refuse(self, what: str) -> None:
        self.refused = f"expected {what}"
        self._end()

    def _take(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and self.frames is None:
            self.frames = TrackFrames(track)
        elif track.kind == "audio" and self.heard is None:
            self.heard = TrackSound(track)
