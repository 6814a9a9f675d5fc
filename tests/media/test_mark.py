# SPDX-License-Identifier: Apache-2.0
"""What says of a picture or a file that it was synthesised."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from talkcodec.cli.decode import decode
from talkcodec.decoder import DecodedFrame
from talkcodec.encoder import Encoder
from talkcodec.media.mark import SOURCE_TYPE, mark, marked_frame
from talkcodec.media.sinks import ShownFrame, open_sink
from talkcodec.media.sources import builtin_source, portrait_picture
from talkcodec.media.writer import VideoWriter
from talkcodec.types import U8


@pytest.mark.parametrize("side", [64, 256, 512])
@pytest.mark.parametrize("shade", [0, 128, 255])
def test_the_mark_is_seen_on_any_ground_and_stays_in_its_corner(side: int, shade: int) -> None:
    plain = np.full((side, side, 3), shade, np.uint8)
    marked = mark(plain)
    changed = np.argwhere((marked != plain).any(axis=2))
    assert (plain == shade).all()  # a copy
    top, left = changed.min(axis=0)
    bottom, right = changed.max(axis=0)
    assert top > 0.75 * side
    assert bottom < side
    assert left <= 0.12 * side
    assert right < (1.0 if side < 100 else 0.4) * side
    # Letters stand out from their badge whatever is under it.
    badge = marked[top : bottom + 1, left : right + 1].astype(int)
    assert np.ptp(badge) > 100


def test_the_mark_fits_pictures_of_any_shape() -> None:
    for shape in ((1, 1, 3), (3, 200, 3), (200, 3, 3), (11, 11, 3), (90, 160, 3)):
        assert mark(np.zeros(shape, np.uint8)).shape == shape


def test_only_what_is_synthesised_is_marked() -> None:
    picture = portrait_picture(128)
    motion = marked_frame(ShownFrame(picture, 0, 0.0, "motion"))
    video = marked_frame(ShownFrame(picture, 0, 0.0, "video"))
    assert motion.synthesised
    assert not video.synthesised
    assert (motion.picture != picture).any()
    assert video.picture is picture
    assert DecodedFrame(picture, 0).synthesised


def metadata(path: Path) -> dict[str, str]:
    with av.open(str(path)) as container:
        return dict(container.metadata)


def claims(path: Path) -> bool:
    """Return whether the file says of itself that it is synthesised, to a machine and to people."""
    found = {key.lower(): value for key, value in metadata(path).items()}
    if "comment" not in found:
        return False
    claim = json.loads(found["comment"])
    action = claim["assertions"][0]["data"]["actions"][0]
    assert claim["claim_generator"].startswith("talkcodec/")
    assert "synthesised by talkcodec" in found["title"]
    return bool(action["digitalSourceType"] == SOURCE_TYPE)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_what_a_call_writes_says_so_and_keeps_it_when_copied(tmp_path: Path, suffix: str) -> None:
    path, copy = tmp_path / f"call{suffix}", tmp_path / f"copy{suffix}"
    with open_sink(f"file:{path}", Fraction(25)) as sink:
        for tick in range(3):
            sink.show(ShownFrame(portrait_picture(128), tick))
    assert claims(path)
    with av.open(str(path)) as source, av.open(str(copy), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        target.metadata.update(source.metadata)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    assert claims(copy)


def test_what_a_camera_gave_does_not_say_so(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "camera.mp4", Fraction(25)) as writer:
        writer.write(portrait_picture(128), 0)
    assert not claims(tmp_path / "camera.mp4")


def test_a_decoded_file_says_so_and_is_marked_when_asked(tmp_path: Path) -> None:
    from talkcodec.bitstream import TkcWriter

    coded = tmp_path / "x.tkc"
    with coded.open("wb") as file:
        encoder = Encoder()
        writer = TkcWriter(file)
        writer.write(encoder.header())
        for frame in builtin_source(0.12):
            for packet in encoder.encode(frame):
                writer.write(packet)
        for packet in encoder.flush():
            writer.write(packet)
        writer.close()
    first: dict[bool, U8] = {}
    for marked in (False, True):
        out = tmp_path / f"{marked}.mp4"
        decode(coded, out, None, True, mark=marked)
        assert claims(out)
        with av.open(str(out)) as container:
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
        first[marked] = np.asarray(picture, np.uint8)
    assert (first[True] == mark(first[False])).all()
