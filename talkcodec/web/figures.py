# SPDX-License-Identifier: Apache-2.0
"""What H.264 takes for a call, to be drawn beside what ours takes.

From ``training/results/val.json``, made by ``talkcodec compare``: rates at which x264 (medium,
zerolatency) reaches the LPIPS of our call, mean over 23 clips of 15 people that nothing was trained
on, 256². They are a mean and no measurement of the call that is shown; ``tests/web`` compares them
with the file.
"""

from __future__ import annotations

#: kbit/s: what x264 makes, and with IP, UDP, RTP and SRTP around it.
H264_PAYLOAD, H264_WIRE = 37.9, 48.6

H264_SOURCE = (
    "about what x264 (medium, zerolatency) needs for the same LPIPS: mean of 23 clips, 256×256,"
    " measured with talkcodec compare; not a measurement of this call"
)
