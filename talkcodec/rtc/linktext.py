# SPDX-License-Identifier: Apache-2.0
"""A path described on the command line: ``loss=0.3,burst=4,rtt=50,rate=40k``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talkcodec.errors import InputError
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.trace import Trace

#: What ``parse_link`` reads; times are in ms, rates in bit/s.
SYNTAX = "loss|burst|rtt|jitter|reorder|duplicate|rate|queue=NUMBER, blackout=MS+MS, trace=FILE"

_UNITS = {
    "loss": 1.0,
    "burst": 1.0,
    "rtt": 1e-3,
    "jitter": 1e-3,
    "reorder": 1.0,
    "duplicate": 1.0,
    "rate": 1.0,
    "queue": 1e-3,
}
_SUFFIXES = {"k": 1e3, "M": 1e6}


def parse_link(text: str) -> LinkConfig:
    """Read ``loss=0.3,rtt=50,jitter=5,rate=40k,queue=300``: times in ms, rate in bit/s (k, M).

    Also ``burst``, ``reorder``, ``duplicate`` as ``LinkConfig`` has them, ``blackout=5000+500``
    (500 ms, 5 s after the first datagram) and ``trace=FILE``. Raises ``InputError`` for a name or
    a value that it does not know.
    """
    values: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, separator, value = part.partition("=")
        if not separator or (name not in _UNITS and name not in {"blackout", "trace"}):
            raise InputError(f"expected {SYNTAX} in a link, found {part!r}")
        if name in values:
            raise InputError(f"expected {name} once in a link, found it twice")
        if name == "trace":
            values[name] = Trace.load(Path(value))
        elif name == "blackout":
            values[name] = _blackout(value, part)
        else:
            values[name] = _number(value, part) * _UNITS[name]
    return LinkConfig(**values)


def _blackout(text: str, part: str) -> tuple[float, float]:
    start, separator, length = text.partition("+")
    if not separator:
        raise InputError(f"expected blackout=START+LENGTH in ms in a link, found {part!r}")
    begins = _number(start, part) / 1000
    return begins, begins + _number(length, part) / 1000


def _number(text: str, part: str) -> float:
    factor = _SUFFIXES.get(text[-1:], 1.0)
    try:
        return float(text[:-1] if factor != 1.0 else text) * factor
    except ValueError:
        raise InputError(f"expected a number in a link, found {part!r}") from None
