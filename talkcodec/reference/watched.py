# SPDX-License-Identifier: Apache-2.0
"""Call SVT-AV1 without trusting that it returns.

Once in some ten thousand encodes version 4.1 never does: the caller waits for a packet and every
worker for work. A thread that is stuck in there cannot be ended, only left behind, with what it
holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from talkcodec.errors import TalkcodecError

_T = TypeVar("_T")

#: Seconds that a call may take: fifty times what it takes for 512² on an idle core.
PATIENCE = 5.0


class Stalled(TalkcodecError):
    """A call did not return in time. It may still be under way: never touch what it was given."""


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Return what ``work`` returns, or raise what it raises, if that takes ``seconds`` at most.

    It runs in a thread of its own, which no exit of the program waits for.

    Raises:
        Stalled: it took longer.
    """
    call = _Call(work)
    thread = threading.Thread(target=call.run, name="watched", daemon=True)
    thread.start()
    if not call.done.wait(seconds):
        raise Stalled(f"expected an answer within {seconds:g} s, found none")
    thread.join()  # it has nothing left to do
    if call.error is not None:
        raise call.error
    return call.found[0]


class _Call(Generic[_T]):
    def __init__(self, work: Callable[[], _T]) -> None:
        self._work = work
        self.done = threading.Event()
        self.found: list[_T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.found.append(self._work())
        except BaseException as error:  # noqa: BLE001  the caller raises it
            self.error = error
        finally:
            self.done.set()
