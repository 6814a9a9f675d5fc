# SPDX-License-Identifier: Apache-2.0
"""The sending side of a call: frames and sound in, messages to the peer out.

One worker thread tracks and encodes, another one codes references; the event loop only carries
messages. Between camera and worker lies a mailbox with one slot, so an encoder that falls behind
skips frames and never falls behind further.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from sender.fallback import Fallback, FallbackConfig, VideoPicture
from sender.sound import SoundEncoding, SoundPacket
from sender.steering import Steering
from talkcodec import weights
from talkcodec.bitstream.control import ModeChange, Mute, SoundTime
from talkcodec.clock import Clock, Stopwatch, SystemClock
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.errors import TalkcodecError
from talkcodec.face import FaceTracker, open_tracker
from talkcodec.media.rehearsal import rehearse_pictures, rehearse_tracker
from talkcodec.media.sound import SoundBlock
from talkcodec.modes import ModeConfig, Reason
from talkcodec.pools import keep_to_one_thread, share_heaps
from talkcodec.rtc.call import Call
from talkcodec.rtc.driver import failure
from talkcodec.rtc.duplex import Notice
from talkcodec.rtc.mailbox import Mailbox
from talkcodec.rtc.marks import SOUND_STEP, stamp, video_step
from talkcodec.rtc.mediastats import SentMedia
from talkcodec.rtc.messages import Channel
from talkcodec.rtc.once import Once
from talkcodec.rtc.rate import RateConfig
from talkcodec.rtc.references import PaceConfig
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.soundrate import SoundRate, sound_plans
from talkcodec.rtc.stats import SenderReport
from talkcodec.rtc.timeline import Timeline
from talkcodec.types import Frame, Mode, Packet, StreamSettings

#: Seconds for which a sender that falls behind its camera does without foreseeing the result.
_REFLECT = 0.4

#: Frames after a switch with which the new mode is told again: the message may be lost, and the
#: reliable channel takes a second and more to notice that.
_INSIST = 5


class Sender:
    """The half of a call that sends what is given to ``put`` and ``put_sound``.

    Make it inside a running event loop. Alone it is one end of a one-way call::

        sender = Sender()
        offer = await sender.offer()    # to the receiver, by any signaling
        await sender.accept(answer)     # what came back
        sender.put(frame)               # from any thread, as often as there are frames
        await sender.close()

    With a ``Receiver`` in a ``talkcodec.rtc.Call`` it is half of a two-way one, and ``offer``,
    ``accept`` and ``close`` are the call's. ``on_frame`` is called on the worker thread after each
    frame that was encoded. ``sound_rate``: bits per second of Opus at most.
    """

    def __init__(
        self,
        config: EncoderConfig | None = None,
        *,
        tracker: FaceTracker | None = None,
        pace: PaceConfig | None = None,
        rate: RateConfig | None = None,
        fallback: FallbackConfig | None = None,
        sound_rate: int = 20_000,
        on_frame: Callable[[Encoder, Frame], None] | None = None,
        stopwatch: Stopwatch | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        # A receiver would stand still if it had to wait for every new reference.
        config = config or EncoderConfig()
        self.config = replace(config, acknowledged=True, modes=config.modes or ModeConfig())
        self._references = ThreadPoolExecutor(1, thread_name_prefix="references")
        self._opened = Once(partial(_open, self.config, tracker, stopwatch, self._references))
        self._encoder: Encoder | None = None
        best = StreamSettings(self.config.group, self.config.quantiser, self.config.redundancy)
        self.session = SenderSession(weights.tables().hash, pace, best=best, rate=rate)
        keep_to_one_thread()
        share_heaps()
        self._loop = asyncio.get_running_loop()
        self._on_frame = on_frame
        self._frames: Mailbox[Frame] = Mailbox(1)
        self._timeline = Timeline()
        self._fallback = Fallback(fallback or FallbackConfig(), self.config.tick_rate)
        self._steering = Steering(self.session, float(self.config.tick_rate))
        self._fallback.plan = self._steering.plan
        self._steering_heard: asyncio.Task[None] | None = None
        self._sound_rate = SoundRate(sound_plans(sound_rate))
        self._sound = SoundEncoding(self._clock, self._sound_rate.plan)
        self._captured = self._encoded = 0
        self._took = 0.0
        self._reflected = float("-inf")
        self._asked: Mode = "motion"
        self._reason: Reason = "none"
        self._insisting = 0
        self._call: Call | None = None
        self._failure: TalkcodecError | None = None
        self._wanted = threading.Event()
        self._picture_wanted = threading.Event()
        # At most one of 256 sequence numbers each: older ones are overwritten.
        self._arrived: deque[int] = deque(maxlen=256)
        self._worker: threading.Thread | None = None

    # Of a one-way call.

    async def offer(self) -> str:
        """Load the face tracker and return the session description for the receiver."""
        return await self._own().offer()

    async def accept(self, answer: str) -> None:
        """Take the receiver's answer to ``offer`` and wait until the connection stands."""
        await self._own().accept(answer)

    async def ended(self) -> None:
        """Wait until the call is over: the receiver left, the connection is gone, or we failed."""
        await self._own().ended()

    async def close(self) -> None:
        """Say farewell and end the connection.

        Raises ``TalkcodecError`` when the call was over before, with the reason.
        """
        await self._own().close()
        self._raise_failure()

    # Of every call; from any thread.

    def put(self, frame: Frame) -> None:
        """Offer a frame; an older one that still waits is dropped.

        Raises ``TalkcodecError`` when the call is over, with the reason.
        """
        self._raise_failure()
        self._captured += 1
        self._timeline.note(float(frame.time), self._clock.now())
        self._frames.put(frame)

    def put_sound(self, block: SoundBlock, latency: float = 0.0) -> None:
        """Send ``block``, whose last sample was heard ``latency`` seconds ago.

        One thread gives sound; it is encoded there. Raises as ``put`` does.
        """
        self._raise_failure()
        notice, packets = self._sound.put(block, latency, self._timeline.origin)
        if notice is not None or packets:
            self._later(self._send_sound, notice, packets)

    def mute(self, *, on: bool) -> None:
        """Send no sound, not even its absence, or send it again."""
        self._sound.mute(on=on)

    @property
    def muted(self) -> bool:
        return self._sound.muted

    def set_mode(self, mode: Mode) -> None:
        """Send ordinary video, or faces as motion wherever that can serve: ``talkcodec.modes``.

        Either as soon as it can be done without a gap.
        """
        self._asked = mode

    @property
    def mode(self) -> Mode:
        """How pictures go now."""
        return self._fallback.mode

    @property
    def reason(self) -> Reason:
        """What speaks against motion just now: ``talkcodec.modes`` lists what there is."""
        return self._reason

    def set_video_rate(self, rate: int) -> None:
        """Let video, in mode ``video``, take up to ``rate`` bits per second (10000 or more).

        It takes less where the path is thought to carry less.
        """
        self._fallback.limit = FallbackConfig(rate).rate

    def report(self) -> SenderReport:
        """Return the totals so far."""
        counts = self.session.counts
        return SenderReport(
            timestamp=self._clock.now(),
            frames_captured=self._captured,
            frames_dropped=self._frames.dropped,
            frames_encoded=self._encoded,
            groups=counts.groups,
            references=counts.references,
            payload_bytes=counts.header_bytes + counts.motion_bytes + counts.reference_bytes,
            motion_bytes=counts.motion_bytes,
            reference_bytes=counts.reference_bytes,
            chunks=counts.chunks,
            chunks_repaired=self.session.chunks_repaired,
            control_bytes=counts.control_bytes,
            messages_dropped=(self._call.dropped if self._call else 0) + counts.overflowed,
            loss=self.session.loss,
            rtt=self.session.rtt,
            group_time=self.session.rate.interval - float(1 / self.config.tick_rate),
            encode_time=self._took,
        )

    def media(self) -> SentMedia:
        """Return the totals of sound and of ordinary video so far."""
        video, sound = self._fallback.counts, self._sound.counts
        plan = self._fallback.plan
        return SentMedia(
            timestamp=self._clock.now(),
            mode=self._fallback.mode,
            mode_switches=video.switches,
            video_pictures=video.pictures,
            video_bytes=video.bytes,
            video_rate=plan.rate,
            video_divisor=plan.divisor,
            video_side=plan.side,
            sound_packets=sound.packets,
            sound_bytes=sound.bytes,
            sound_muted=sound.muted,
        )

    def queues(self) -> dict[str, int]:
        """Return how much waits in each queue now; all are bounded and drop the oldest."""
        lines = (self._call.sound, self._call.video) if self._call else ()
        return {"frames": len(self._frames), "lines": sum(line.waiting for line in lines)}

    # What a ``Call`` asks of its sending half, on the event loop's thread.

    async def prepare(self) -> None:
        """Load and try all that a frame needs, once; seconds in which the event loop goes on."""
        self._encoder = await self._opened.result()

    def joined(self, call: Call) -> None:
        """Introduce the stream, and begin."""
        self._call = call
        if self._encoder is None:
            raise TalkcodecError("expected a prepared sender, found none")
        self.session.send(self._encoder.header())
        self._sound.forget()
        self._steering.joined()
        if self._worker is None:
            self._worker = threading.Thread(
                target=self._work, args=(self._encoder,), name="sender", daemon=True
            )
            self._worker.start()
        elif self._fallback.mode == "video":
            self._wanted.set()
            self._announce(self._fallback.change(), Channel.CONTROL)

    def heard(self, _notices: list[Notice]) -> None:
        """Look at what a message of the receiver has changed."""
        if self.session.take_request():
            self._wanted.set()
        if self.session.take_picture_request():
            self._picture_wanted.set()
        self._arrived.extend(self.session.take_acknowledged())

    def over(self, reason: str) -> None:
        """The other side or the path ended the call: encode nothing more."""
        if self._failure is None:
            self._failure = TalkcodecError(f"expected a call, found it ended: {reason}")
        self._frames.close()

    async def finish(self) -> None:
        """Encode what was put, send the last group and wait for the worker."""
        self._frames.close()
        if self._worker is not None:
            await asyncio.to_thread(self._worker.join)
        self._references.shutdown(wait=False)

    def _own(self) -> Call:
        """Return the call that this is part of; without one, that of a sender alone."""
        if self._call is None:
            self._call = Call(self, clock=self._clock)
        return self._call

    # The worker thread.

    def _work(self, encoder: Encoder) -> None:
        try:
            while not self._frames.closed:
                frame = self._frames.take()
                if frame is not None:
                    self._encode(encoder, frame)
            if self._fallback.mode == "motion":
                self._later(self._send, encoder.flush(), None)
        except Exception as error:  # noqa: BLE001  the thread ends; put and close pass it on
            self._failure = failure(error)
            self._later(self._fail)

    def _encode(self, encoder: Encoder, frame: Frame) -> None:
        begin = self._clock.now()
        key = self._wanted.is_set()
        if key:
            self._wanted.clear()
            encoder.request_reference()
        fresh = key or self._picture_wanted.is_set()
        self._picture_wanted.clear()
        while self._arrived:
            encoder.acknowledge(self._arrived.popleft())
        encoder.adapt(self.session.settings)
        fallback, tick = self._fallback, encoder.tick(frame)
        fallback.wanted = self._wish(encoder)
        # What motion there is of the frames before goes out while it is worth something.
        before = encoder.flush() if fallback.leaving_motion else []
        switches = fallback.counts.switches
        encoded = encoder.encode(frame, judge=False)
        fallback.wanted = self._wish(encoder)
        packets, picture = fallback.step(encoded, lambda: encoder.canvas(frame), tick, key=fresh)
        if fallback.counts.switches > switches:
            self._insisting = _INSIST
            self._later(self._announce, fallback.change(), Channel.CONTROL)
        if self._insisting:
            self._insisting -= 1
            self._later(self._announce, fallback.change(), Channel.MOTION)
        self._later(self._send, before + packets, picture)
        self._encoded += 1
        self._took += (self._clock.now() - begin - self._took) / 8
        self._reflect(encoder)
        if self._on_frame is not None:
            self._on_frame(encoder, frame)

    def _reflect(self, encoder: Encoder) -> None:
        """Judge what was sent, unless the next frame waits already; but not never."""
        busy = len(self._frames) > 0 and self._clock.now() - self._reflected < _REFLECT
        if not busy:
            self._reflected = self._clock.now()
        references = encoder.reflect(busy=busy)
        if references:
            self._later(self._send, references, None)

    def _wish(self, encoder: Encoder) -> Mode:
        """Return the mode that the caller or what the encoder sees asks for."""
        self._reason = encoder.reason
        return "video" if "video" in {self._asked, encoder.mode} else "motion"

    def _later(self, call: Callable[..., None], *arguments: object) -> None:
        """Run ``call`` on the event loop's thread."""
        self._loop.call_soon_threadsafe(call, *arguments)

    # The event loop's thread.

    def _send(self, packets: list[Packet], picture: VideoPicture | None) -> None:
        call = self._call
        if call is None:
            return
        for packet in packets:
            # Motion is worth nothing later; references are, and the session keeps them.
            if packet.kind != "motion" or call.is_connected:
                self.session.send(packet)
        if picture is not None:
            if picture.key:
                self.session.sent_key_picture()
            self._steering.sent(len(picture.data))
            step = video_step(self.config.tick_rate)
            call.video.put(picture.data, stamp(picture.tick, step))
        self._steer(call)
        call.pump()

    def _steer(self, call: Call) -> None:
        """Keep sound and video within what the path carries."""
        fallback, now, sound = self._fallback, self._clock.now(), self._sound.counts
        rate = self.session.rate
        self._sound.plan = self._sound_rate.look(rate.estimate, now, full=rate.full)
        fallback.plan = self._steering.look(
            fallback.mode, fallback.limit, (sound.packets, sound.bytes), now
        )
        heard = self._steering_heard
        if fallback.mode == "video" and (heard is None or heard.done()):
            self._steering_heard = asyncio.create_task(self._steering.hear(call.video, now))

    def _announce(self, change: ModeChange, channel: Channel) -> None:
        call = self._call
        if call is None:
            return
        call.video.send(on=change.mode == "video")
        call.tell(change, channel)
        if change.mode == "motion":
            call.tidy()

    def _send_sound(self, notice: SoundTime | Mute | None, packets: list[SoundPacket]) -> None:
        call = self._call
        if call is None or not call.is_connected:
            return
        if notice is not None:
            call.sound.send(on=isinstance(notice, SoundTime))
            call.tell(notice)
        for packet in packets:
            call.sound.put(packet.data, stamp(packet.number, SOUND_STEP))

    def _fail(self) -> None:
        if self._call is not None:
            self._call.end(str(self._failure))

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _open(
    config: EncoderConfig,
    tracker: FaceTracker | None,
    stopwatch: Stopwatch | None,
    background: Executor,
) -> Encoder:
    """Return an encoder whose first frame takes no longer than others."""
    if tracker is None:
        tracker = open_tracker()
        rehearse_tracker(tracker)
    rehearse_pictures(config.codec, config.size)
    return Encoder(config, tracker, stopwatch, background=background)
