# SPDX-License-Identifier: Apache-2.0
"""Evidence and policy of one stream, joined: what the encoder asks whether to draw at all."""

from __future__ import annotations

from talkcodec.analysis import Choice, Sample
from talkcodec.modes import ModeConfig, ModePolicy, Reason
from talkcodec.trust import Witness
from talkcodec.types import U8, Mode


class Watch:
    """Judges every group, and every frame without a face. Without a config it has no doubts."""

    def __init__(self, config: ModeConfig | None) -> None:
        self._witness = Witness()
        self._policy = ModePolicy(config or ModeConfig())
        self._on = config is not None
        self._key: int | None = None  # the newest one under way

    @property
    def mode(self) -> Mode:
        """What the receiver should show."""
        return self._policy.mode

    @property
    def reason(self) -> Reason:
        """What speaks against motion."""
        return self._policy.reason

    @property
    def low_confidence(self) -> bool:
        """Whether what motion alone would show is in doubt."""
        return self._policy.low_confidence

    @property
    def hurry(self) -> bool:
        """Whether references should be sent faster."""
        return self._policy.hurry

    @property
    def drawing(self) -> bool:
        """Whether references are of use: motion is shown, or is being prepared."""
        return self._policy.drawing

    def absent(self, time: float, picture: U8) -> None:
        """See a canvas ``picture`` (S, S, 3) without a face at ``time`` seconds."""
        if self._on:
            self._policy.observe(self._witness.absent(time, picture))

    def look(self, time: float, sample: Sample, choice: Choice | None) -> bool:
        """See ``sample``, to be drawn as ``choice`` says; return whether to begin anew, with a key.

        ``choice`` is None while nothing has been sent that it could be drawn from.
        """
        if not self._on:
            return False
        evidence = self._witness.look(
            time,
            sample.picture,
            sample.landmarks,
            sure=sample.sure,
            others=sample.others,
            choice=choice,
        )
        self._policy.observe(evidence)
        anew = self._policy.take_restart()
        if anew:
            self._witness.forget()
        return anew

    def sent(self, key: int) -> None:
        """Key reference number ``key`` is on its way."""
        self._key = key

    def arrived(self, sequence: int) -> None:
        """The receiver holds reference number ``sequence``."""
        if sequence == self._key:
            self._key = None
            self._policy.arrived()
