# SPDX-License-Identifier: Apache-2.0
"""Room codes: four words that can be read out over a telephone and not be guessed.

Four of 2048 words are 44 bits. A server with 1000 rooms that let a thousand guesses a second
through, which its limits do not, would give one room away in 200 days.
"""

from __future__ import annotations

import re
import secrets

from talkcodec.errors import SignalingError
from talkcodec.rtc.sas import word_list

WORDS = 4
_PREFIX = 4  # letters that tell the words of the list apart
_MAX_CODE = 80


def new_code() -> str:
    """Return a code nobody has seen before, like ``anchor-maple-river-cotton``."""
    return "-".join(secrets.choice(word_list()) for _ in range(WORDS))


def parse_code(text: str) -> str:
    """Return the code that somebody typed: any case, any separators, four letters a word suffice.

    Raises:
        SignalingError: it is no code.
    """
    words = re.findall(r"[a-z]+", text.lower()) if len(text) <= _MAX_CODE else []
    found = [_complete(word) for word in words]
    if len(words) != WORDS or None in found:
        raise SignalingError(f"expected a room code of {WORDS} words, found {text[:_MAX_CODE]!r}")
    return "-".join(word for word in found if word)


def _complete(word: str) -> str | None:
    """Return the word of the list that ``word`` or its first four letters name."""
    fitting = [known for known in word_list() if known.startswith(word)]
    if word in fitting:
        return word
    return fitting[0] if len(word) >= _PREFIX and len(fitting) == 1 else None
