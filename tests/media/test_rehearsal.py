# SPDX-License-Identifier: Apache-2.0
"""What was tried before a call is as if it had not been, but for the time it takes."""

from __future__ import annotations

import numpy as np

from talkcodec.decoder import Decoder
from talkcodec.encoder import Encoder, EncoderConfig
from talkcodec.face import open_tracker
from talkcodec.media.rehearsal import rehearse_pictures, rehearse_renderer, rehearse_tracker
from talkcodec.media.sources import builtin_source
from talkcodec.reference.codec import CodecId
from talkcodec.render.renderer import open_renderer


def test_a_rehearsed_stream_is_the_same_stream() -> None:
    rehearse_pictures(CodecId.AV1)
    streams = []
    for rehearsed in (False, True):
        tracker = open_tracker()
        if rehearsed:
            rehearse_tracker(tracker)
        encoder = Encoder(EncoderConfig(startup=0.1), tracker)
        packets = [encoder.header()]
        for frame in builtin_source(0.6):
            packets += encoder.encode(frame)
        streams.append([packet.data for packet in packets + encoder.flush()])
        tracker.close()
    assert len(streams[0]) > 4
    assert streams[0] == streams[1]

    renderer = open_renderer()
    rehearse_renderer(renderer)
    fresh, rehearsed_one = Decoder(), Decoder(renderer=renderer)
    for data in streams[0]:
        for one, two in zip(fresh.decode(data), rehearsed_one.decode(data), strict=True):
            assert np.array_equal(one.picture, two.picture)
