# SPDX-License-Identifier: Apache-2.0
"""Reference pictures: how they are coded, and the bank that holds them.

``open_encoder`` and ``open_decoder`` give the codecs, ``Bank`` keeps what was decoded.
"""

from talkcodec.reference.bank import MAX_SLOTS, Bank, BankedReference
from talkcodec.reference.codec import (
    CodecId,
    EncodedPicture,
    PictureDecoder,
    PictureEncoder,
    open_decoder,
    open_encoder,
)

__all__ = [
    "MAX_SLOTS",
    "Bank",
    "BankedReference",
    "CodecId",
    "EncodedPicture",
    "PictureDecoder",
    "PictureEncoder",
    "open_decoder",
    "open_encoder",
]
