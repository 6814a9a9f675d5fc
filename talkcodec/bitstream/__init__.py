# SPDX-License-Identifier: Apache-2.0
"""The bytes of talkcodec: packets, fragments, control messages and the ``.tkc`` file.

``FORMAT.md`` beside this file is normative. Every parser, given any bytes, returns an object or
raises ``BitstreamError``; sizes are bounded before anything is allocated.
"""

from talkcodec.bitstream.chunks import Chunk, Missing, Reassembler, fragment
from talkcodec.bitstream.coding import decode_group, encode_group
from talkcodec.bitstream.container import TkcReader, TkcWriter
from talkcodec.bitstream.control import (
    Acknowledge,
    Bye,
    ControlMessage,
    Hello,
    Nack,
    RequestReference,
    Stream,
    parse_control,
    serialize_control,
)
from talkcodec.bitstream.header import StreamHeader, TickAnchor
from talkcodec.bitstream.motion import (
    MAX_GROUP,
    FlowLayer,
    GroupHeader,
    MotionGroup,
    coarse_copy,
    group_tick,
    parse_group_header,
    recent_groups,
)
from talkcodec.bitstream.quantiser import MULTIPLIERS, rescale, to_quantiser
from talkcodec.bitstream.reference import Reference
from talkcodec.bitstream.report import Arrival, PathReport
from talkcodec.bitstream.wire import LIMITS, Limits, WireKind, classify, unwrap

__all__ = [
    "LIMITS",
    "MAX_GROUP",
    "MULTIPLIERS",
    "Acknowledge",
    "Arrival",
    "Bye",
    "Chunk",
    "ControlMessage",
    "FlowLayer",
    "GroupHeader",
    "Hello",
    "Limits",
    "Missing",
    "MotionGroup",
    "Nack",
    "PathReport",
    "Reassembler",
    "Reference",
    "RequestReference",
    "Stream",
    "StreamHeader",
    "TickAnchor",
    "TkcReader",
    "TkcWriter",
    "WireKind",
    "classify",
    "coarse_copy",
    "decode_group",
    "encode_group",
    "fragment",
    "group_tick",
    "parse_control",
    "parse_group_header",
    "recent_groups",
    "rescale",
    "serialize_control",
    "to_quantiser",
    "unwrap",
]
