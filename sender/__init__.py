# SPDX-License-Identifier: Apache-2.0
"""The sending side of a call: a camera or file goes in, messages to a peer come out."""

from sender.capture import Capture
from sender.fallback import FallbackConfig
from sender.pipeline import Sender

__all__ = ["Capture", "FallbackConfig", "Sender"]
