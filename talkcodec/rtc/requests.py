# SPDX-License-Identifier: Apache-2.0
"""Which of the receiver's requests cost a key reference, the dearest thing a call sends.

A receiver in trouble asks several times a second until the cure is there. One key answers all
of it: what is asked while a key is under way changes nothing, and keys keep a distance.

While ordinary video is shown, the same request means that none of it can be decoded. A key
reference that is under way meanwhile, for coming back to motion, cures nothing then: key pictures
have a distance of their own.
"""

from __future__ import annotations

#: Seconds between two granted keys at least; twice the round trip where that is longer.
MIN_DISTANCE = 1.0

#: Seconds of asking in vain after which a key under way is thought lost or useless: longer than
#: repairs take at 30 % loss, shorter than until the receiver gives a reference up.
PATIENCE = 5.0


class KeyRequests:
    """Joins requests into grants. Time is seconds of the caller's clock, growing."""

    def __init__(self) -> None:
        self._wanted = False
        self._granted_at = float("-inf")
        self._under_way = False
        self._key: int | None = None
        self._ignored_since: float | None = None

    def ask(self, now: float) -> None:
        """The receiver cannot continue from what it holds."""
        if self._under_way:
            if self._ignored_since is None:
                self._ignored_since = now
            if now - self._ignored_since < PATIENCE:
                return
        self._wanted = True

    def take(self, now: float, rtt: float) -> bool:
        """Return True, once, when a key is to be made; ``rtt``: the round trip in seconds.

        A request that comes too soon after a grant is kept: its cause may be another.
        """
        rested = now - self._granted_at >= max(MIN_DISTANCE, 2 * rtt)
        if not self._wanted or not rested:
            return False
        self._granted_at = now
        # From here on, and not from when it is encoded: a busy encoder must not be asked twice.
        self._depart(None)
        return True

    def sent(self, sequence: int) -> None:
        """The key ``sequence`` goes out, asked for or not."""
        self._depart(sequence)

    def answered(self) -> None:
        """A key picture of ordinary video went out: no reference will come of the last grant."""
        if self._key is None:
            self._under_way = False

    def settled(self, sequence: int) -> None:
        """Reference ``sequence`` has arrived, or can never arrive."""
        if self._key is not None and sequence == self._key:
            self._under_way, self._key = False, None

    def _depart(self, sequence: int | None) -> None:
        self._under_way, self._key = True, sequence
        self._wanted, self._ignored_since = False, None


class PictureRequests:
    """Joins requests into grants of key pictures. Time is seconds of the caller's clock."""

    def __init__(self) -> None:
        self._wanted = False
        self._granted_at = float("-inf")

    def ask(self) -> None:
        """The receiver cannot continue from what it holds."""
        self._wanted = True

    def take(self, now: float, rtt: float) -> bool:
        """Return True, once, when a key picture is to be made; ``rtt``: the round trip."""
        if not self._wanted or now - self._granted_at < max(MIN_DISTANCE, 2 * rtt):
            return False
        self._granted_at, self._wanted = now, False
        return True

    def sent(self) -> None:
        """A key picture goes out, and answers what was asked before."""
        self._wanted = False
