# SPDX-License-Identifier: Apache-2.0
"""Picture codecs: what goes in comes out, chains hold, and bad bytes end in one error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import BitstreamError, InputError, MissingReference
from talkcodec.media.sources import portrait_picture
from talkcodec.reference import CodecId, PictureDecoder, open_decoder, open_encoder
from talkcodec.reference.av1 import Av1PictureDecoder, Av1PictureEncoder
from talkcodec.reference.codec import MAX_PICTURE_BYTES
from talkcodec.reference.webp import WebPDecoder, WebPEncoder
from talkcodec.types import U8

SIDE = 128


def portrait(shift: int = 0, side: int = SIDE) -> U8:
    """A head-like ellipse before a gradient, ``shift`` pixels off the middle."""
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    head = ((x - 0.5 - shift / side) / 0.25) ** 2 + ((y - 0.45) / 0.35) ** 2 < 1
    eyes = (np.abs(np.abs(x - 0.5 - shift / side) - 0.1) < 0.03) & (np.abs(y - 0.4) < 0.02)
    base = np.stack([90 + 60 * x, 100 + 40 * y, 130 - 50 * x], -1)
    base[head] = (205, 160, 135)
    base[eyes] = (40, 30, 30)
    return base.astype(np.uint8)


def psnr(a: U8, b: U8) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def assert_total(decoder: PictureDecoder, data: bytes, *, key: bool) -> None:
    """Decoding gives a picture of the right size or one documented error of one line."""
    try:
        shape = decoder.decode(data, key=key).shape
    except BitstreamError as error:
        message = str(error)
    else:
        assert shape == (SIDE, SIDE, 3)
        return
    assert message
    assert "\n" not in message


@pytest.mark.parametrize("codec", list(CodecId))
@pytest.mark.parametrize("side", [64, 256, 300])
def test_picture_survives(codec: CodecId, side: int) -> None:
    picture = portrait(side=side)
    encoder = open_encoder(codec, side)
    coded = encoder.encode(picture)
    encoder.close()
    shown = open_decoder(codec, side).decode(coded.data, key=coded.key)
    assert coded.key
    assert (shown.dtype.name, shown.shape) == ("uint8", picture.shape)
    assert psnr(picture, shown) > 28
    assert len(coded.data) < side * side * 3 / 20


@pytest.mark.parametrize(("side", "sent"), [(256, False), (512, False), (128, True)])
def test_common_sequence_headers_are_not_sent(*, side: int, sent: bool) -> None:
    assert (Av1PictureEncoder(side).encode(portrait(side=side)).data[0] > 0) == sent


def test_colours_are_rgb() -> None:
    picture = np.full((SIDE, SIDE, 3), (200, 60, 20), np.uint8)
    for codec in CodecId:
        coded = open_encoder(codec, SIDE).encode(picture)
        shown = open_decoder(codec, SIDE).decode(coded.data, key=True)
        assert np.abs(shown.reshape(-1, 3).mean(0) - (200, 60, 20)).max() < 4


def test_chain_is_cheaper_than_keys_and_decodes_in_order() -> None:
    pictures = [portrait(shift) for shift in (0, 2, 5, 3)]
    encoder, decoder = Av1PictureEncoder(SIDE), Av1PictureDecoder(SIDE)
    coded = [encoder.encode(picture) for picture in pictures]
    assert [c.key for c in coded] == [True, False, False, False]
    for number, (picture, c) in enumerate(zip(pictures, coded, strict=True), start=254):
        shown = decoder.decode(c.data, key=c.key, sequence=number % 256)
        assert psnr(picture, shown) > 28
    again = encoder.encode(pictures[3], key=True)
    assert again.key
    assert len(coded[3].data) < len(again.data) / 2


def test_bytes_of_a_picture_do_not_depend_on_later_ones() -> None:
    pictures = [portrait(shift) for shift in (0, 2, 5)]
    runs = []
    for count in (1, 2, 3):
        encoder = Av1PictureEncoder(SIDE)
        runs.append([encoder.encode(picture).data for picture in pictures[:count]])
    assert runs[0] == runs[2][:1]
    assert runs[1] == runs[2][:2]


def test_quality_moves_size_and_fidelity() -> None:
    picture = (portrait() // 2 + np.random.default_rng(0).integers(0, 90, (SIDE, SIDE, 1))).astype(
        np.uint8
    )
    sizes, fidelities = [], []
    for quality in (40, 120, 200):
        coded = Av1PictureEncoder(SIDE, key_quality=quality).encode(picture)
        sizes.append(len(coded.data))
        fidelities.append(psnr(picture, Av1PictureDecoder(SIDE).decode(coded.data, key=True)))
    assert sizes == sorted(sizes, reverse=True)
    assert fidelities == sorted(fidelities, reverse=True)


def test_inter_quality_moves_only_later_pictures() -> None:
    runs = []
    for quality in (80, 200):
        encoder = Av1PictureEncoder(SIDE, key_quality=120, inter_quality=quality)
        runs.append([encoder.encode(portrait(shift)).data for shift in (0, 9)])
    assert psnr_of_key(runs[0][0]) == pytest.approx(psnr_of_key(runs[1][0]), abs=1.0)
    assert len(runs[0][1]) > 1.3 * len(runs[1][1])


def psnr_of_key(data: bytes) -> float:
    return psnr(portrait(), Av1PictureDecoder(SIDE).decode(data, key=True))


def test_missing_link_is_noticed_and_may_still_arrive() -> None:
    encoder, decoder = Av1PictureEncoder(SIDE), Av1PictureDecoder(SIDE)
    first, second, third = (encoder.encode(portrait(shift)).data for shift in (0, 2, 5))
    with pytest.raises(MissingReference, match="key picture"):
        decoder.decode(second, key=False, sequence=1)
    decoder.decode(first, key=True, sequence=0)
    with pytest.raises(MissingReference, match="expected picture 1, found 2"):
        decoder.decode(third, key=False, sequence=2)
    decoder.decode(second, key=False, sequence=1)
    assert psnr(portrait(5), decoder.decode(third, key=False, sequence=2)) > 28


def test_damage_breaks_the_chain_until_the_next_key() -> None:
    encoder, decoder = Av1PictureEncoder(SIDE), Av1PictureDecoder(SIDE)
    first, second, third = (encoder.encode(portrait(shift)).data for shift in (0, 2, 5))
    decoder.decode(first, key=True)
    with pytest.raises(BitstreamError):
        decoder.decode(b"\xff" * len(second), key=False)
    with pytest.raises(MissingReference):
        decoder.decode(third, key=False)
    again = encoder.encode(portrait(5), key=True)
    assert psnr(portrait(5), decoder.decode(again.data, key=True)) > 28


@pytest.mark.parametrize("codec", list(CodecId))
def test_other_sizes_are_refused_before_decoding(codec: CodecId) -> None:
    coded = open_encoder(codec, 192).encode(portrait(side=192))
    with pytest.raises(BitstreamError, match=r"side 128, found \(192, 192\)"):
        open_decoder(codec, SIDE).decode(coded.data, key=True)


def test_frame_that_claims_to_be_larger_than_its_sequence_is_refused() -> None:
    small = Av1PictureEncoder(SIDE).encode(portrait()).data
    large = Av1PictureEncoder(192).encode(portrait(side=192)).data
    grafted = small[: 1 + small[0]] + large[1 + large[0] :]
    assert_total(Av1PictureDecoder(SIDE), grafted, key=True)


@pytest.mark.parametrize("codec", list(CodecId))
def test_empty_and_huge_data_are_refused(codec: CodecId) -> None:
    for data in (b"", bytes(MAX_PICTURE_BYTES + 1)):
        with pytest.raises(BitstreamError, match="bytes, found"):
            open_decoder(codec, SIDE).decode(data, key=True)


def test_qualities_out_of_range_are_refused() -> None:
    for key, inter in ((0, 100), (100, 256), (30, 200)):
        with pytest.raises(ValueError, match="quantiser ind"):
            Av1PictureEncoder(SIDE, key_quality=key, inter_quality=inter)


def test_unknown_codec_is_refused() -> None:
    with pytest.raises(BitstreamError, match="found 9"):
        open_decoder(9, SIDE)


def test_encoders_refuse_other_pictures() -> None:
    for codec in CodecId:
        with pytest.raises(InputError, match="128"):
            open_encoder(codec, SIDE).encode(portrait(side=64))
        with pytest.raises(InputError, match="even side"):
            open_encoder(codec, 31)


KEYS = {
    "av1": Av1PictureEncoder(SIDE).encode(portrait()).data,
    "webp": WebPEncoder(SIDE).encode(portrait()).data,
}


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400), key=st.booleans())
def test_arbitrary_bytes_end_in_a_picture_or_a_bitstream_error(*, data: bytes, key: bool) -> None:
    for decoder in (Av1PictureDecoder(SIDE), WebPDecoder(SIDE)):
        assert_total(decoder, data, key=key)


@settings(max_examples=150, deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 10_000),
    name=st.sampled_from(sorted(KEYS)),
)
def test_damaged_keys_end_in_a_picture_or_a_bitstream_error(
    edits: list[tuple[int, int]], cut: int, name: str
) -> None:
    damaged = bytearray(KEYS[name])
    for position, value in edits:
        damaged[position % len(damaged)] = value
    data = bytes(damaged[: cut % len(damaged) + 1]) if cut % 3 == 0 else bytes(damaged)
    decoder = Av1PictureDecoder(SIDE) if name == "av1" else WebPDecoder(SIDE)
    assert_total(decoder, data, key=True)


@pytest.mark.parametrize(("most", "quality"), [(10_000, 150), (2500, None), (500, 190)])
def test_a_busy_picture_is_coded_again_where_it_would_come_late(
    most: int, quality: int | None
) -> None:
    picture = portrait_picture()
    noise = np.random.default_rng(0).normal(0.0, 1.5, picture.shape)
    busy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    encoder = Av1PictureEncoder(256, 150, 165, most=most)
    coded = encoder.encode(busy)
    following = encoder.encode(busy)
    encoder.close()
    assert coded.key
    if quality is None:
        assert 150 < coded.quality < 190
        assert 0.8 * most < len(coded.data) <= 1.02 * most
    else:
        assert coded.quality == quality
    decoder = open_decoder(CodecId.AV1, 256)
    assert psnr(busy, decoder.decode(coded.data, key=True)) > 26
    assert not following.key
    assert decoder.decode(following.data, key=False).shape == (256, 256, 3)
