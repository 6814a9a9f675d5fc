# SPDX-License-Identifier: Apache-2.0
"""The sending side of a call: a camera or file goes in, messages to a peer come out."""

from sender.capture import LIVE, Capture
from sender.fallback import FallbackConfig
from sender.pipeline import Sender

__all__ = ["LIVE", "Capture", "FallbackConfig", "Sender"]
