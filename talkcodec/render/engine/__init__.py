# SPDX-License-Identifier: Apache-2.0
"""What runs networks: OpenVINO, ONNX Runtime or torch, behind one protocol.

Two of the three report their use to their makers unless told not to, the one when it is imported,
the other from threads of its own. Each is therefore imported in one module only, after the switch
is thrown (``make imports`` holds the project to that); ``tests/test_quiet_network.py`` watches.
"""

from __future__ import annotations

from talkcodec.render.engine.protocol import (
    FORMATS,
    Engine,
    EngineName,
    Precision,
    choose,
    installed,
    open_engine,
    precisions,
)
from talkcodec.render.engine.signature import Signature

__all__ = [
    "FORMATS",
    "Engine",
    "EngineName",
    "Precision",
    "Signature",
    "choose",
    "installed",
    "open_engine",
    "precisions",
]
