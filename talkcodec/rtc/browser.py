# SPDX-License-Identifier: Apache-2.0
"""The local connection with a web page: its camera and microphone in, a call's other side out.

Both ends are on one machine, so no STUN and no TURN; the page's description is screened like that
of any stranger.
"""

from __future__ import annotations

from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from talkcodec.errors import TalkcodecError
from talkcodec.rtc.bridge import ReconstructedSound, ReconstructedTrack, TrackFrames, TrackSound
from talkcodec.rtc.guard import screen


class BrowserPeer:
    """One connection with a page. Make it inside a running event loop.

    ``picture``, ``sound``: what the page shows and plays. ``frames``, ``heard``: what it gives,
    None before ``answer`` or where it gives none.
    """

    def __init__(self) -> None:
        config = RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE)
        self._connection = RTCPeerConnection(config)
        self.picture, self.sound = ReconstructedTrack(), ReconstructedSound()
        self.frames: TrackFrames | None = None
        self.heard: TrackSound | None = None
        self._connection.on("track", self._given)

    async def answer(self, offer: str) -> str:
        """Take the page's description and return ours.

        Raises:
            TalkcodecError: it is none, or none of a page's.
        """
        offer = screen(offer, channels=0)
        try:
            await self._connection.setRemoteDescription(RTCSessionDescription(offer, "offer"))
            self._connection.addTrack(self.picture)
            self._connection.addTrack(self.sound)
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except Exception as error:  # aiortc raises whatever its parser stumbles over
            raise TalkcodecError(f"expected a page's description, found: {error!r}") from error
        return self._connection.localDescription.sdp

    async def close(self) -> None:
        """End the connection and its tracks; may be called again."""
        for source in (self.frames, self.heard):
            if source is not None:
                source.close()
        self.picture.stop()
        self.sound.stop()
        await self._connection.close()

    def _given(self, track: MediaStreamTrack) -> None:
        if track.kind == "video" and self.frames is None:
            self.frames = TrackFrames(track)
        elif track.kind == "audio" and self.heard is None:
            self.heard = TrackSound(track)
