# SPDX-License-Identifier: Apache-2.0
"""Rows of ``rows.py`` about what is seen on a clean path, a lossy one, and after an outage."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from statistics import median

from talkcodec.cli.loopback import Running
from talkcodec.cli.rowstage import PHASE, RTT, Row, Stage, one_way, settle, times
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.figures import ms, quantiles
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.stats import FREEZE
from talkcodec.rtc.telemetry import Snapshot

#: Seconds between blackouts, and of one.
_BLACKOUT_EVERY, _BLACKOUT = 6.0, 0.5

#: Part of the frames that must be encoded for a rate to be that of a whole call.
_WHOLE = 0.95

#: Seconds of call that a blackout's end must be followed by.
_AFTER = 1.0

#: Seconds wanted from capture to display.
_DISPLAY = 0.15


@dataclass(slots=True)
class _Parts:
    """Takes reports of a call; gives medians of what its delay is made of."""

    seen: dict[str, list[float]] = field(default_factory=dict)

    def write(self, table: Snapshot) -> None:
        named = {
            "group": table["sent_group_time"],
            "encode": table["sent_encode_time"],
            "path": None if table["sent_rtt"] is None else float(table["sent_rtt"]) / 2,
            "wait": table["received_playout_time"],
            "draw": table["received_draw_time"],
        }
        for name, value in named.items():
            if value:
                self.seen.setdefault(name, []).append(float(value))

    def close(self) -> None:
        """There is nothing to free."""

    def report(self) -> dict[str, float]:
        """Return ms by name."""
        return {name: ms(median(values)) for name, values in self.seen.items()}


async def steady(stage: Stage) -> Row:
    """What a clean call takes, in groups of 3."""
    call, _ = await one_way(stage, LinkConfig())
    if call.steady is None:
        raise TalkcodecError("expected a call that goes on after its first picture, found none")
    lasted = call.steady.seconds
    forward, back, payload = (
        round(8e-3 * size / lasted, 2)
        for size in (call.steady.forward, call.steady.back, call.steady.payload)
    )
    both = round(forward + back, 2)
    encoded, captured = call.sent.frames_encoded, call.sent.frames_captured
    whole = encoded >= _WHOLE * captured
    figures = {
        "wire_kbps_both": both,
        "wire_kbps_forward": forward,
        "wire_kbps_back": back,
        "payload_kbps": payload,
        "references": call.sent.references,
        "frames_encoded": encoded,
        "frames_captured": captured,
    }
    found = (
        f"{both} kbit/s on the wire ({forward} + {back}), payload {payload};"
        f" {encoded} of {captured} frames"
    )
    met = whole and both <= 20 and payload <= 6
    return Row(found, "≤ 20 kbit/s, payload ≤ 6; ≥ 95 % of frames", met, figures)


async def heavy_loss(stage: Stage) -> Row:
    """30 % of the datagrams are lost, each way."""
    _, seen = await one_way(stage, LinkConfig(loss=0.3, rtt=RTT))
    frozen, share = seen.frozen(FREEZE), seen.fresh()
    figures = seen.report() | {
        "freezes_over_200ms": len(frozen),
        "without_concealment": sum(
            end - begin > FREEZE for begin, end in seen.stood(concealed=False)
        ),
        "shown_within_two_groups": round(share, 4),
    }
    found = (
        f"{len(frozen)} freezes over 200 ms, longest {figures['longest_ms']} ms;"
        f" {100 * share:.2f} % of frame times within two groups"
    )
    met = not frozen and share >= 0.97
    return Row(found, "no freeze over 200 ms; ≥ 97 %", met, figures, frozen)


async def blackout(stage: Stage) -> Row:
    """Half a second in which nothing passes, again and again."""
    ends: list[float] = []

    async def meanwhile(run: Running) -> None:
        await settle(stage, run)
        for number in range(times(stage, _BLACKOUT_EVERY)):
            run.relay.impair(LinkConfig(rtt=RTT, blackout=(0.0, _BLACKOUT)))
            ends.append(run.clock.now() + _BLACKOUT)
            await asyncio.sleep(_BLACKOUT_EVERY + PHASE * (number % 4))

    _, seen = await one_way(stage, LinkConfig(rtt=RTT), meanwhile)
    back = [(end, seen.next_picture(end)) for end in ends if end < seen.end - _AFTER]
    if not back:
        raise TalkcodecError("expected a longer call, found none with a blackout")
    took = [until - end for end, until in back]
    figures = {"blackouts": len(back), "recovered_ms": quantiles(took)}
    found = f"at most {ms(max(took))} ms of {len(back)}, median {ms(median(took))}"
    late = [span for span in back if span[1] - span[0] > FREEZE]
    return Row(found, "≤ 200 ms after its end", not late, figures, late)


async def latency(stage: Stage) -> Row:
    """From capture to display, in groups of 2."""
    parts = _Parts()
    _, seen = await one_way(stage, LinkConfig(rtt=RTT), group=2, sinks=[parts])
    found = quantiles(shown - captured for captured, shown in seen.waits())
    listed = parts.report()
    named = ", ".join(f"{name} {value:.0f}" for name, value in listed.items())
    late = [span for span in seen.waits() if span[1] - span[0] > _DISPLAY]
    return Row(
        f"p50 {found['p50']}, p95 {found['p95']} ms ({named})",
        "p95 ≤ 150 ms",
        found["p95"] <= 1000 * _DISPLAY,
        {"capture_to_display_ms": found, "parts_ms": listed, "over_150ms": len(late)},
        late,
    )
