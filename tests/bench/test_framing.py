# SPDX-License-Identifier: Apache-2.0
"""What RTP leaves out of an encoder's packets, on units built by hand and on real ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from talkcodec.bench.codecs import classical, silent_stderr
from talkcodec.bench.framing import PAYLOAD_HEADER, uncarried_bytes
from talkcodec.types import U8

DELIMITER = b"\x12\x00"
SEQUENCE = b"\x0a\x03abc"


def noise(frames: int = 4) -> list[U8]:
    """Pictures that cost bytes."""
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(frames)]


def encoded(name: str) -> tuple[list[bytes], list[int]]:
    """Return an encoder's packets as they come, and the sizes that a comparison counts."""
    codec, pictures = classical(name), noise()
    point = codec.points[-1]
    with silent_stderr():
        packets = [bytes(packet) for packet in codec._encode(pictures, Fraction(25), point)]
    return packets, codec.encode_decode(pictures, Fraction(25), point).packets


def test_an_av1_frame_loses_its_delimiter_and_its_size_field() -> None:
    short = b"\x32\x05" + b"y" * 5
    assert uncarried_bytes(DELIMITER + short, "libdav1d") == 3
    long = b"\x32\xac\x02" + b"y" * 300
    assert uncarried_bytes(DELIMITER + long, "libdav1d") == 4
    # The sequence header's size becomes a length field; only the last unit goes without one.
    assert uncarried_bytes(DELIMITER + SEQUENCE + long, "libdav1d") == 4
    # A unit with an extension byte, and one that has no size field anyway.
    assert uncarried_bytes(DELIMITER + b"\x36\x08\x01y", "libdav1d") == 3
    assert uncarried_bytes(DELIMITER + b"\x30yyyy", "libdav1d") == 2


def test_padding_is_not_carried_and_torn_units_are_refused() -> None:
    frame, padding = b"\x32\x02yy", b"\x7a\x04zzzz"
    assert uncarried_bytes(DELIMITER + frame + padding, "libdav1d") == 2 + len(padding) + 1
    with pytest.raises(ValueError, match="end of the packet"):
        uncarried_bytes(DELIMITER + frame[:-1], "libdav1d")
    with pytest.raises(ValueError, match="expected a size"):
        uncarried_bytes(b"\x32\xff", "libdav1d")


def test_h264_and_h265_lose_start_codes_and_supplemental_information() -> None:
    sei, picture = b"\0\0\1\x06" + b"x" * 20, b"\0\0\0\1\x65" + b"y" * 30
    assert uncarried_bytes(picture, "h264") == 4
    assert uncarried_bytes(sei + picture, "h264") == len(sei) + 4
    assert uncarried_bytes(picture + sei, "h264") == len(sei) + 4
    hevc = b"\0\0\0\1" + bytes([39 << 1, 1]) + b"z" * 9
    frame = b"\0\0\1" + bytes([1 << 1, 1, 5])
    assert uncarried_bytes(hevc + frame, "hevc") == len(hevc) + 3
    assert uncarried_bytes(b"\0\0\1", "h264") == 3
    assert uncarried_bytes(sei, "vp9") == 0


def test_real_av1_frames_are_charged_one_unit_each() -> None:
    packets, counted = encoded("av1")
    assert len(packets) == len(counted) == 4
    assert all(packet.startswith(DELIMITER) for packet in packets)
    # A frame unit of less than 128 bytes has a size field of one byte, a longer one of two.
    saved = [len(packet) - size for packet, size in zip(packets, counted, strict=True)]
    assert saved[1:] == [3 if size - 1 < 128 else 4 for size in counted[1:]]


@pytest.mark.parametrize(("name", "decoder"), [("x264", "h264"), ("x265", "hevc")])
def test_real_h26x_frames_lose_one_start_code_each(name: str, decoder: str) -> None:
    # One encode only: x265 does not give the same bytes twice.
    packets, _ = encoded(name)
    for packet in packets[1:]:
        start = 4 if packet.startswith(b"\0\0\0\1") else 3
        assert packet[start - 3 : start] == b"\0\0\1"
        assert uncarried_bytes(packet, decoder) == start
    # Parameter sets and picture, and whatever SEI there is.
    assert uncarried_bytes(packets[0], decoder) >= 4 + 4 + 3


def test_vp9_is_carried_whole() -> None:
    packets, counted = encoded("vp9")
    assert [len(packet) for packet in packets] == counted


def test_every_decoder_has_a_payload_header() -> None:
    for name in ("x264", "x264-abr", "x265", "vp9", "av1"):
        codec = classical(name)
        rate = codec.rate([100] * 25, 1.0)
        assert rate.payload == pytest.approx(20)
        assert rate.wire == pytest.approx((150 + PAYLOAD_HEADER[codec.decoder]) * 25 * 8 / 1000)
