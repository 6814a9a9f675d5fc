# SPDX-License-Identifier: Apache-2.0
"""What happens to a picture at the sender before it is coded: so far, the crop to the canvas."""

from __future__ import annotations

from talkcodec.preprocess.window import CropWindow

__all__ = ["CropWindow"]
