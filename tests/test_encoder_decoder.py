# SPDX-License-Identifier: Apache-2.0
"""The codec end to end on a face whose motion is known: the built-in source and its track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec import weights
from talkcodec.analysis import CALL_RESEND
from talkcodec.bitstream import (
    MotionGroup,
    Reference,
    StreamHeader,
    decode_group,
    encode_group,
    parse_group_header,
)
from talkcodec.bitstream.samples import sample_file
from talkcodec.cli.info import describe
from talkcodec.clock import Stopwatch
from talkcodec.decoder import DecodedState, Decoder
from talkcodec.encoder import Encoder, EncoderConfig, GroupTrace
from talkcodec.errors import BitstreamError, MissingReference, VersionError
from talkcodec.reference.codec import CodecId
from talkcodec.reference.policy import RefreshConfig
from talkcodec.render.measure import error_map, small_luma
from talkcodec.types import F64, U8, Box, FaceObservation, Frame, Packet, StreamSettings

MODEL = weights.shape_model()
RATE = Fraction(25)


class KnownFace:
    """A tracker that is told the landmarks, or None for a picture without a face."""

    def __init__(self, track: list[F64 | None]) -> None:
        self._track = iter(track)

    def track(self, picture: U8, time: float) -> FaceObservation | None:  # noqa: ARG002
        landmarks = next(self._track)
        if landmarks is None:
            return None
        low, high = landmarks.min(0), landmarks.max(0)
        box = Box(float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        return FaceObservation(landmarks.astype(np.float32), 1.0, box)

    def reset(self) -> None:
        """Nothing to forget."""

    def close(self) -> None:
        """Nothing to release."""


def landmarks_at(index: int) -> F64:
    """A head that sways, talks and blinks."""
    state = np.zeros(MODEL.dimension)
    state[1] = 0.15 * np.sin(index / 7)
    state[2] = 0.05 * np.sin(index / 11)
    state[3:6] = (128 + 5 * np.sin(index / 9), 132, np.log(52))
    state[10:13] = np.array([6, 4, -5]) * MODEL.steps[10:13] * np.sin(index / np.array([3, 4, 5]))
    return MODEL.expand(MODEL.mean, state)


def picture_at(index: int, side: int = 256) -> U8:
    """A textured picture that moves with the head a little."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(40, 210, (16, 16, 3)).astype(np.float32)
    big = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
    shift = np.array([[1, 0, 5 * np.sin(index / 9)], [0, 1, 0]], np.float32)
    moved = cv2.warpAffine(big, shift, (side, side), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.clip(moved, 0, 255), np.uint8)


def frames(count: int, side: int = 256) -> Iterator[Frame]:
    return (Frame(picture_at(i, side), i, 1 / RATE) for i in range(count))


def encode(count: int, config: EncoderConfig | None = None, **kwargs: object) -> list[Packet]:
    encoder = Encoder(config, KnownFace([landmarks_at(i) for i in range(count)]), **kwargs)  # type: ignore[arg-type]
    packets = [encoder.header()]
    for frame in frames(count):
        packets += encoder.encode(frame)
    return packets + encoder.flush()


def decode(packets: list[Packet]) -> list[DecodedState]:
    decoder = Decoder()
    return [state for packet in packets for state in decoder.receive(packet.data)]


@pytest.fixture(scope="module")
def stream() -> list[Packet]:
    """Of a bank of four, so that there are slots which it does not have."""
    return encode(30, EncoderConfig(bank=4))


def test_every_frame_comes_out_once_and_in_order(stream: list[Packet]) -> None:
    assert [state.tick for state in decode(stream)] == list(range(30))


def test_a_stream_starts_with_header_and_key_reference(stream: list[Packet]) -> None:
    assert [packet.kind for packet in stream[:2]] == ["header", "reference"]
    header, first = StreamHeader.parse(stream[0].data), Reference.parse(stream[1].data)
    assert header.table_hash == weights.tables().hash
    assert first.key
    assert first.identity is not None


def test_what_is_shown_looks_like_what_was_seen(stream: list[Packet]) -> None:
    decoder = Decoder()
    for packet in stream:
        for frame in decoder.decode(packet.data):
            truth = small_luma(picture_at(frame.tick))
            assert error_map(small_luma(frame.picture), truth).mean() < 0.15


def test_ticks_go_on_from_the_first_of_the_group_before(
    stream: list[Packet], tmp_path: Path
) -> None:
    reference = Reference.parse(stream[1].data)
    row = np.array(reference.state, np.int32)

    def motion(tick: int, gaps: tuple[int, ...], bearer: int) -> Packet:
        group = MotionGroup(tick, gaps, bearer, 0, np.stack([row] * (len(gaps) + 1)))
        return Packet("motion", encode_group(group, reference.state, weights.tables()), tick)

    apart = [motion(0, (2**14,) * 3, reference.sequence), motion(100, (), reference.sequence)]
    assert [s.tick for s in decode([*stream[:2], *apart])] == [0, 16384, 32768, 49152, 100]
    path = tmp_path / "apart.tkc"
    path.write_bytes(sample_file([*stream[:2], *apart]))
    assert describe(path)[0]["frames"] == 5
    # A packet counts though its reference is missing.
    decoder, lost = Decoder(), motion(32000, (), 200)
    for packet in stream[:2]:
        decoder.receive(packet.data)
    with pytest.raises(MissingReference):
        decoder.receive(lost.data)
    later = [motion(tick, (), reference.sequence) for tick in (64000, 96000)]
    assert [s.tick for p in later for s in decoder.receive(p.data)] == [64000, 96000]


def test_a_lost_motion_packet_costs_only_its_own_frames(stream: list[Packet]) -> None:
    motion = [packet for packet in stream if packet.kind == "motion"]
    kept = [packet for packet in stream if packet is not motion[3]]
    whole = {state.tick: state.drawing.state for state in decode(stream)}
    partial = {state.tick: state.drawing.state for state in decode(kept)}
    assert len(whole) - len(partial) == 3
    assert all(np.array_equal(whole[tick], partial[tick]) for tick in partial)


def test_redundancy_brings_back_a_lost_group() -> None:
    stream = encode(18, EncoderConfig(redundancy=True))
    motion = [packet for packet in stream if packet.kind == "motion"]
    kept = [packet for packet in stream if packet is not motion[2]]
    exact = {state.tick: state for state in decode(stream) if state.fresh}
    spare = {state.tick: state for state in decode(kept) if not state.fresh}
    for tick in (6, 7, 8):
        off = np.abs(spare[tick].drawing.state - exact[tick].drawing.state) / MODEL.steps
        assert off.max() <= 2.0  # half a step of the coarsest quantiser, three times the finest


@pytest.mark.parametrize("group", [1, 2, 4])
@pytest.mark.parametrize("quantiser", [0, 3])
def test_groups_and_quantisers_are_honoured(group: int, quantiser: int) -> None:
    stream = encode(9, EncoderConfig(group=group, quantiser=quantiser, startup=0.0))
    references = [Reference.parse(p.data) for p in stream if p.kind == "reference"]
    states = {reference.sequence: reference.state for reference in references}
    coded = [
        decode_group(packet.data, states, weights.tables())
        for packet in stream
        if packet.kind == "motion"
    ]
    assert [len(c.states) for c in coded][:-1] == [group] * (len(coded) - 1)
    assert {c.quantiser for c in coded} == {quantiser}
    assert sum(len(c.states) for c in coded) == 9


def test_settings_change_within_a_stream() -> None:
    count = 60
    encoder = Encoder(
        EncoderConfig(startup=0.0), KnownFace([landmarks_at(i) for i in range(count)])
    )
    settings = {
        0: StreamSettings(3),
        20: StreamSettings(4, 2, redundancy=True, divisor=2),
        45: StreamSettings(1, redundancy=True),
    }
    packets = [encoder.header()]
    for frame in frames(count):
        if frame.pts in settings:
            encoder.adapt(settings[frame.pts])
        packets += encoder.encode(frame)
    states = decode(packets + encoder.flush())
    fresh = [state.tick for state in states if state.fresh]
    assert fresh == [*range(20), *range(21, 45, 2), *range(45, 60)]
    # Copies reach back as far as whole groups fit four frames.
    last = [state for state in states if state.tick >= 51]
    assert sum(not state.fresh for state in last) >= 4 * 5
    motion = [packet for packet in packets if packet.kind == "motion"]
    assert {parse_group_header(p.data).count for p in motion if p.tick > 48} == {1}
    assert {parse_group_header(p.data).quantiser for p in motion} == {0, 2}


@pytest.mark.parametrize("codec", list(CodecId))
def test_coarse_references_are_smaller_and_begin_with_a_key(codec: CodecId) -> None:
    encoder = Encoder(
        EncoderConfig(startup=0.0, codec=codec), KnownFace([landmarks_at(i) for i in range(40)])
    )
    packets = [encoder.header()]
    for frame in frames(40):
        if frame.pts == 12:
            encoder.adapt(StreamSettings(coarse=True))
        if frame.pts == 24:
            encoder.request_reference()
        packets += encoder.encode(frame)
    references = [Reference.parse(p.data) for p in packets if p.kind == "reference"]
    first, last = references[0], next(r for r in references if r.tick >= 24)
    assert last.key
    assert len(last.picture) < 0.85 * len(first.picture)
    decoder = Decoder()
    for packet in packets:
        decoder.receive(packet.data)
    assert last.sequence in decoder.references


def test_frames_of_the_same_tick_are_dropped_and_gaps_are_kept() -> None:
    track: list[F64 | None] = [landmarks_at(i) for i in range(6)]
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace(track))
    packets = [encoder.header()]
    for index, pts in enumerate((0, 20, 40, 1000, 1010, 5000)):  # milliseconds
        packets += encoder.encode(Frame(picture_at(index), pts, Fraction(1, 1000)))
    packets += encoder.flush()
    assert [state.tick for state in decode(packets)] == [0, 1, 25, 125]


def test_no_face_sends_nothing_and_a_face_that_comes_back_goes_on() -> None:
    track = [None, None, *(landmarks_at(i) for i in range(6)), None, *(landmarks_at(9),) * 4]
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace(track))
    packets = [encoder.header()]
    for index in range(len(track)):
        packets += encoder.encode(Frame(picture_at(index), index, 1 / RATE))
    packets += encoder.flush()
    assert [state.tick for state in decode(packets)] == [*range(2, 8), *range(9, 13)]


def test_a_requested_reference_is_a_key_that_stands_alone() -> None:
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace([landmarks_at(i) for i in range(12)]))
    packets = [encoder.header()]
    for index, frame in enumerate(frames(12)):
        if index == 6:
            encoder.request_reference()
        packets += encoder.encode(frame)
    later = [p for p in packets if p.kind == "reference"][1]
    assert Reference.parse(later.data).key
    joined = Decoder()
    joined.receive(encoder.header().data)
    assert joined.receive(later.data) == []
    motion = [p for p in packets if p.kind == "motion" and p.tick >= later.tick]
    assert [s.tick for p in motion for s in joined.receive(p.data)] == [9, 10, 11]


def test_the_bank_never_grows_beyond_what_the_header_says() -> None:
    encoder = Encoder(
        EncoderConfig(startup=0.0, bank=2), KnownFace([landmarks_at(i) for i in range(24)])
    )
    decoder = Decoder()
    decoder.receive(encoder.header().data)
    for frame in frames(24):
        encoder.request_reference()
        for packet in encoder.encode(frame):
            decoder.receive(packet.data)
            assert len(decoder.references) <= 2


def test_a_trace_tells_of_every_group() -> None:
    traces: list[GroupTrace] = []
    encode(9, EncoderConfig(startup=0.0), trace=traces.append)
    assert [len(trace.states) for trace in traces] == [3, 3, 3]
    assert all(0 <= trace.error < 2 for trace in traces)


def test_decoding_twice_gives_the_same_pictures(stream: list[Packet]) -> None:
    first, second = Decoder(), Decoder()
    for packet in stream:
        a, b = first.decode(packet.data), second.decode(packet.data)
        assert all(np.array_equal(x.picture, y.picture) for x, y in zip(a, b, strict=True))


def test_another_size_is_drawn_on_request(stream: list[Packet]) -> None:
    decoder = Decoder()
    states = [state for packet in stream for state in decoder.receive(packet.data)]
    assert decoder.render(states[-1]).shape == (256, 256, 3)
    assert decoder.render(states[-1], 512).shape == (512, 512, 3)


def test_a_large_canvas_works_too() -> None:
    encoder = Encoder(
        EncoderConfig(size=512, startup=0.0), KnownFace([2 * landmarks_at(i) for i in range(3)])
    )
    packets = [encoder.header()]
    for frame in frames(3, side=512):
        packets += encoder.encode(frame)
    decoder = Decoder()
    shown = [f.picture.shape for p in packets for f in decoder.decode(p.data)]
    assert shown == [(512, 512, 3)] * 3


def test_motion_before_its_reference_is_refused_and_harmless(stream: list[Packet]) -> None:
    decoder = Decoder()
    motion = next(packet for packet in stream if packet.kind == "motion")
    with pytest.raises(BitstreamError, match="header"):
        decoder.receive(motion.data)
    decoder.receive(stream[0].data)
    with pytest.raises(MissingReference):
        decoder.receive(motion.data)
    decoder.receive(stream[1].data)
    assert len(decoder.receive(motion.data)) == 3


def test_a_stream_for_other_tables_is_refused(stream: list[Packet]) -> None:
    header = replace(StreamHeader.parse(stream[0].data), table_hash=b"\0" * 8)
    with pytest.raises(VersionError, match="tables"):
        Decoder().receive(header.serialize())


@pytest.mark.parametrize("part", ["state", "identity", "slot"])
def test_a_reference_that_does_not_fit_the_model_is_refused(
    stream: list[Packet], part: str
) -> None:
    good = Reference.parse(stream[1].data)
    bad = {
        "state": replace(good, state=good.state[:-1]),
        "identity": replace(good, identity=(200, *(good.identity or ())[1:])),
        "slot": replace(good, slot=7),
    }[part]
    decoder = Decoder()
    decoder.receive(stream[0].data)
    with pytest.raises(BitstreamError, match="expected"):
        decoder.receive(bad.serialize())
    assert len(decoder.references) == 0
    decoder.receive(good.serialize())
    assert [*decoder.references] == [0]


def test_absurd_states_are_drawn_without_overflow(stream: list[Packet]) -> None:
    good = Reference.parse(stream[1].data)
    wild = replace(good, state=(2**19,) * len(good.state))
    decoder = Decoder()
    decoder.receive(stream[0].data)
    decoder.receive(wild.serialize())
    drawn = 0
    for packet in stream:
        if packet.kind == "motion" and packet.data[3] == good.sequence:
            for frame in decoder.decode(packet.data):
                assert frame.picture.shape == (256, 256, 3)
                drawn += 1
    assert drawn


def test_a_call_draws_from_a_reference_only_once_it_has_arrived() -> None:
    config = EncoderConfig(startup=0.0, acknowledged=True)
    encoder = Encoder(config, KnownFace([landmarks_at(i) for i in range(18)]))
    drawn = []
    for index, frame in enumerate(frames(18)):
        if index == 1:
            encoder.acknowledge(0)
        if index == 5:
            encoder.request_reference()
        if index == 12:
            encoder.acknowledge(1)
        drawn += [p.data[3] for p in encoder.encode(frame) if p.kind == "motion"]
    assert drawn == [0, 0, 0, 0, 1, 1]


def noise_at(index: int) -> U8:
    """A picture that nothing sent before resembles."""
    return np.random.default_rng(index).integers(0, 255, (256, 256, 3)).astype(np.uint8)


def test_an_orphaned_reference_does_not_end_refreshing() -> None:
    rich = RefreshConfig(rate=1e7, burst=1e7)
    config = EncoderConfig(startup=0.0, acknowledged=True, refresh=rich)
    encoder = Encoder(config, KnownFace([landmarks_at(i) for i in range(150)]))
    sent: list[int] = []
    for index in range(150):
        picture = picture_at(index) if index < 20 else noise_at(index // 40)
        if index == 12:
            encoder.request_reference()  # a second one, while the first travels
        for packet in encoder.encode(Frame(picture, index, 1 / RATE)):
            if packet.kind == "reference":
                sent.append(Reference.parse(packet.data).sequence)
                if len(sent) != 2:  # the second never arrives
                    encoder.acknowledge(sent[-1])
        if index == 6:
            encoder.request_reference()
    assert len(sent) > 4


def test_a_refused_reference_changes_nothing(stream: list[Packet]) -> None:
    good = Reference.parse(stream[1].data)
    refused = [
        replace(good, slot=7, identity=(90,) * len(good.identity or ())),
        replace(good, codec=2, picture=b"not a picture", identity=None),
        replace(good, state=good.state[:-1]),
    ]
    plain, harassed = Decoder(), Decoder()
    for packet in stream:
        expected = plain.decode(packet.data)
        found = harassed.decode(packet.data)
        assert all(
            np.array_equal(a.picture, b.picture) for a, b in zip(expected, found, strict=True)
        )
        if packet.kind != "header":
            for bad in refused:
                with pytest.raises(BitstreamError):
                    harassed.receive(bad.serialize())


def test_hostile_states_do_not_slow_drawing_down(stream: list[Packet]) -> None:
    good = Reference.parse(stream[1].data)
    huge = list(good.state)
    huge[5] = round(6 / float(MODEL.steps[5]))
    wild = replace(good, sequence=7, slot=1, state=(*huge[:6], 1500, 900, *huge[8:]))
    decoder, watch = Decoder(), Stopwatch()
    for packet in (stream[0].data, stream[1].data, wild.serialize()):
        decoder.receive(packet)
    group = MotionGroup(0, (), 7, 0, np.array([[*huge[:6], -1500, 900, *huge[8:]]], np.int32))
    packet = encode_group(group, wild.state, weights.tables())
    with watch.stage("hostile"):
        assert decoder.decode(packet)[0].picture.shape == (256, 256, 3)
    for calm in (p for p in stream if p.kind == "motion" and p.data[3] == 0):
        with watch.stage("calm"):
            decoder.decode(calm.data)
    # A ratio within one run, and a generous one: before, it was several hundred.
    assert watch.durations["hostile"][0] < 40 * max(watch.durations["calm"])


def test_somebody_who_sits_down_later_gets_an_identity_of_their_own() -> None:
    wider = np.array([1.25, 1.0, 1.0])
    other = [wider * (landmarks_at(i) - 128) + 128 for i in range(6)]
    track: list[F64 | None] = [*(landmarks_at(i) for i in range(6)), *([None] * 30), *other]
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace(track))
    decoder, identities, ticks = Decoder(), [], []
    decoder.receive(encoder.header().data)
    for index in range(len(track)):
        for packet in encoder.encode(Frame(picture_at(index), index, 1 / RATE)):
            ticks += [state.tick for state in decoder.receive(packet.data)]
            if packet.kind == "reference" and Reference.parse(packet.data).identity:
                identities.append(Reference.parse(packet.data).identity)
    assert ticks == [*range(6), *range(36, 42)]
    assert len(identities) == 2
    assert identities[0] != identities[1]
    assert 0 not in decoder.references


def test_an_encoder_too_busy_to_look_for_seconds_does_not_take_that_for_a_new_face() -> None:
    encoder = Encoder(EncoderConfig(startup=0.0), KnownFace([landmarks_at(0)] * 8))
    packets = [
        packet
        for index in range(8)
        for packet in encoder.encode(Frame(picture_at(0), 40 * index, 1 / RATE))
    ]
    references = [Reference.parse(p.data) for p in packets if p.kind == "reference"]
    assert [reference.key for reference in references].count(True) == 1
    assert [packet.kind for packet in packets].count("motion") >= 6


def test_a_layer_lost_in_a_call_is_made_good_soon() -> None:
    track = [landmarks_at(0)] * 60
    config = EncoderConfig(startup=0.0, acknowledged=True)
    encoder = Encoder(config, KnownFace(list(track)))
    whole, lossy = Decoder(), Decoder()
    off: dict[int, float] = {}
    layers = 0
    for index in range(60):
        frame = Frame(picture_at(index), index, 1 / RATE)
        for packet in [encoder.header()] * (index == 0) + encoder.encode(frame):
            expected = {f.tick: f.picture for f in whole.decode(packet.data)}
            if packet.kind == "reference":
                encoder.acknowledge(Reference.parse(packet.data).sequence)
            if packet.kind == "motion":
                layers += bool(packet.data[0] & 4)
                if layers == 1 and packet.data[0] & 4:
                    continue  # the first layer is lost
            for shown in lossy.decode(packet.data):
                difference = np.abs(shown.picture.astype(int) - expected[shown.tick])
                off[shown.tick] = float(difference.mean())
    assert layers > 1
    wrong = [tick for tick, value in off.items() if value > 0]
    assert not wrong or max(wrong) - min(wrong) <= 2 * CALL_RESEND * RATE
