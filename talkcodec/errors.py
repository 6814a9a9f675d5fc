# SPDX-License-Identifier: Apache-2.0
"""Every exception that talkcodec raises on purpose.

::

    TalkcodecError
    ├── InputError             a file, camera or option that cannot be used
    ├── MissingDependency      an optional package that this feature needs
    ├── WeightsError           shipped data missing or not what its manifest says
    ├── SignalingError         the other side cannot be met, or says what it must not
    └── BitstreamError         bytes that are not a valid packet or file
        ├── TruncatedError     the bytes end before the syntax does
        ├── VersionError       another format version or another table hash
        └── MissingReference   valid so far, but its reference is not in the bank

Messages are one line and say what was expected and what was found. A parser given arbitrary
bytes returns an object or raises ``BitstreamError``; nothing else may escape from it.
"""

from __future__ import annotations


class TalkcodecError(Exception):
    """Base of all errors that a caller may want to catch."""


class InputError(TalkcodecError):
    """A file, device or option that cannot be used."""


class MissingDependency(TalkcodecError):
    """An optional package is needed and not installed."""


class WeightsError(TalkcodecError):
    """A shipped data file is missing or does not match its manifest."""


class SignalingError(TalkcodecError):
    """The other side of a call cannot be met, or what it says while meeting cannot be used."""


class BitstreamError(TalkcodecError):
    """Bytes that do not follow FORMAT.md."""


class TruncatedError(BitstreamError):
    """The bytes end before the syntax does."""


class VersionError(BitstreamError):
    """The stream was made for another format version or other tables."""


class MissingReference(BitstreamError):
    """The packet is well formed but needs a reference that the bank does not hold."""


def reason(error: Exception) -> str:
    """Return what the system says went wrong, for the end of a message: no number, no path."""
    inner = getattr(error, "reason", error)  # urllib wraps what the socket said
    told = inner if isinstance(inner, str) else getattr(inner, "strerror", None)
    return str(told or str(inner) or type(inner).__name__).lower()
