# SPDX-License-Identifier: Apache-2.0
"""Says of a picture that it was synthesised: to the eye, and to whoever reads a file's metadata.

A received face is drawn by a machine from a reference and a few numbers. It looks like a camera's
picture and is none, so it says so: in a corner, small, and legible at the size it is shown at.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from typing import TypeVar

import numpy as np

from talkcodec import __version__
from talkcodec.decoder import DecodedFrame
from talkcodec.types import F32, U8

TEXT = "synthesised"

# In parts of the picture's height: a badge of 12 pixels at 256, with letters of 9.
_HEIGHT, _LEAST, _MARGIN = 0.047, 10, 0.25
_LETTERS = 0.78
_SHADE, _INK = 0.45, 0.92

#: https://cv.iptc.org/newscodes/digitalsourcetype: several elements, at least one synthetic.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeSynthetic"

AnyFrame = TypeVar("AnyFrame", bound=DecodedFrame)


def mark(picture: U8) -> U8:
    """Return a copy of ``picture``, uint8 (H, W, 3), with the mark in its lower left corner."""
    marked = picture.copy()
    height, width = picture.shape[:2]
    badge = _badge(height)
    margin = round(badge.shape[0] * _MARGIN)
    rows, columns = min(badge.shape[0], height - margin), min(badge.shape[1], width - margin)
    if rows <= 0 or columns <= 0:
        return marked
    place = marked[height - margin - rows : height - margin, margin : margin + columns]
    shade, ink = badge[:rows, :columns, :1], badge[:rows, :columns, 1:]
    place[:] = np.rint(place * (1 - shade) + 255 * ink).astype(np.uint8)
    return marked


def marked_frame(frame: AnyFrame) -> AnyFrame:
    """Return ``frame`` with the mark if it is synthesised, else as it is."""
    return replace(frame, picture=mark(frame.picture)) if frame.synthesised else frame


def provenance() -> dict[str, str]:
    """Return metadata for a file with synthesised pictures, in fields that every container has.

    ``comment`` is JSON in the terms of C2PA's actions, in plain text and not signed: it informs,
    and proves nothing.
    """
    action = {
        "action": "c2pa.created",
        "digitalSourceType": SOURCE_TYPE,
        "softwareAgent": f"talkcodec/{__version__}",
    }
    claim = {
        "claim_generator": f"talkcodec/{__version__}",
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    return {
        "comment": json.dumps(claim, separators=(",", ":")),
        "title": f"Pictures {TEXT} by talkcodec from a reference picture and motion data",
    }


@lru_cache(maxsize=8)
def _badge(picture_height: int) -> F32:
    """Return float32 (h, w, 2): how much of the picture is taken away, and how much white added."""
    from PIL import Image, ImageDraw, ImageFont

    height = max(round(picture_height * _HEIGHT), _LEAST)
    font = ImageFont.load_default(height * _LETTERS)
    left, top, right, bottom = font.getbbox(TEXT)
    width = round(right - left + height)
    # A dark pill, drawn large and made small for smooth ends.
    large = Image.new("L", (4 * width, 4 * height))
    ImageDraw.Draw(large).rounded_rectangle(
        (0, 0, 4 * width - 1, 4 * height - 1), 2 * height, fill=255
    )
    pill = np.asarray(large.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    letters = Image.new("L", (width, height))
    at = ((width - right - left) / 2, (height - bottom - top) / 2)
    ImageDraw.Draw(letters).text(at, TEXT, fill=255, font=font)
    ink = np.asarray(letters, np.float32) / 255 * _INK
    shade = pill * _SHADE
    return np.stack([shade + ink - shade * ink, ink], axis=2)
