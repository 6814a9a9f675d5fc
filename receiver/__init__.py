# SPDX-License-Identifier: Apache-2.0
"""The receiving side of a call: messages from a peer go in, pictures come out at their time."""

from receiver.pipeline import Receiver

__all__ = ["Receiver"]
