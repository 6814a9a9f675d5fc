# SPDX-License-Identifier: Apache-2.0
"""talkcodec: a video codec for calls that sends a face's motion instead of its pixels.

The story in order: ``encoder.py`` turns frames into packets, ``decoder.py`` packets into frames,
``bitstream/FORMAT.md`` says what the packets are. Nothing is imported here, so that
``import talkcodec`` costs nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
