# SPDX-License-Identifier: Apache-2.0
"""The meter of frozen pictures."""

from __future__ import annotations

from talkcodec.rtc.stats import FreezeMeter


def test_only_pictures_that_stand_too_long_are_freezes() -> None:
    meter = FreezeMeter()
    for now in (5.0, 5.04, 5.2, 5.5, 5.54, 6.54):
        meter.shown(now)
    assert meter.freezes == 2
    assert round(meter.longest, 6) == 1.0


def test_a_picture_that_stands_until_the_end_is_a_freeze() -> None:
    meter = FreezeMeter()
    meter.ended(1.0)
    meter.shown(2.0)
    meter.ended(1.5)
    assert meter.freezes == 0
    meter.ended(2.5)
    assert meter.freezes == 1


def test_waiting_for_the_first_picture_is_no_freeze() -> None:
    meter = FreezeMeter()
    meter.shown(100.0)
    assert (meter.freezes, meter.longest) == (0, 0.0)
