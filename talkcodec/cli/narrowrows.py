# SPDX-License-Identifier: Apache-2.0
"""Rows of ``rows.py`` on paths that carry little, or less than they did, or now more, now less."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from talkcodec.cli.loopback import Running
from talkcodec.cli.rowstage import PHASE, RTT, Row, Stage, one_way, settle, times
from talkcodec.cli.seen import Span
from talkcodec.errors import TalkcodecError
from talkcodec.rtc.figures import longest, ms, quantiles
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.stats import FREEZE
from talkcodec.rtc.trace import Trace
from talkcodec.rtc.transit import Passage, Transit

#: Seconds between references that are asked for.
_REFERENCE_EVERY = 6.0

#: Seconds on the wide path and on the narrow one; and before a drop that a reference is asked for:
#: it is under way then.
_WIDE, _NARROW, _LEAD = 8.0, 10.0, 0.3

#: Seconds that a picture that came (not made up) may stand on a path that is steady.
_ROUGH = 0.3

#: What is wanted of motion over half the round trip, and of references, in seconds.
_MOTION, _REFERENCE = 0.06, 1.5


async def references(stage: Stage) -> Row:
    """Key references every few seconds, on a path that carries 40 kbit/s and loses 5 %."""
    transit: list[Transit] = []
    thought: list[dict[str, Any]] = []

    async def meanwhile(run: Running) -> None:
        session = run.sender.session
        transit.append(Transit(session, run.receiver.session, run.clock))
        await settle(stage, run)
        while True:
            kbps, coarse = round(session.rate.estimate / 1000, 1), session.settings.coarse
            thought.append({"estimate_kbps": kbps, "coarse": coarse})
            run.receiver.session.request_reference()
            await asyncio.sleep(_REFERENCE_EVERY)

    _, seen = await one_way(stage, LinkConfig(loss=0.05, rtt=RTT, rate=40_000.0), meanwhile)
    begin = seen.begin
    motion = [each for each in transit[0].motion if each.sent >= begin]
    # The first one finds a path of which nothing is known, and no motion to delay yet.
    came = [each for each in transit[0].references if each.sent >= begin]
    never = [Passage(at, seen.end, 0) for at in transit[0].awaited() if begin < at < seen.end - 3]
    over = quantiles(each.seconds - RTT / 2 for each in motion)
    took = quantiles(each.seconds for each in [*came, *never])
    slow = [each for each in motion if each.seconds - RTT / 2 > _MOTION]
    slow_references = [each for each in [*came, *never] if each.seconds > _REFERENCE]
    figures = seen.report() | {
        "motion_over_half_rtt_ms": over,
        "motion_packets": len(motion),
        "motion_over_60ms": len(slow),
        "reference_ms": took,
        "references": len(came),
        "references_not_come": len(never),
        "references_over_1500ms": len(slow_references),
        "reference_bytes": [each.size for each in came],
        "asked_for_at": thought,
        "first_reference_ms": [ms(each.seconds) for each in transit[0].references[:1]],
    }
    found = (
        f"motion p95 {over['p95']}, at most {over['max']} ms ({len(slow)} of {len(motion)} over);"
        f" references p50 {took['p50'] / 1000:.2f}, at most {took['max'] / 1000:.2f} s"
        f" ({len(slow_references)} of {len(came) + len(never)} over)"
    )
    met = bool(came) and not slow and not slow_references
    misses = [(each.sent, each.came) for each in [*slow, *slow_references]]
    return Row(found, "motion ≤ 60 ms over half the RTT; ≤ 1.5 s", met, figures, misses)


async def link_drop(stage: Stage) -> Row:
    """From 2 Mbit/s to 20 kbit/s in the middle of a reference, again and again."""
    wide, narrow = LinkConfig(rtt=RTT, rate=2e6), LinkConfig(rtt=RTT, rate=20_000.0)
    drops: list[float] = []
    transit: list[Transit] = []

    async def meanwhile(run: Running) -> None:
        transit.append(Transit(run.sender.session, run.receiver.session, run.clock))
        await settle(stage, run)
        for number in range(times(stage, _WIDE + _NARROW)):
            run.receiver.session.request_reference()
            await asyncio.sleep(_LEAD + PHASE * (number % 4))
            run.relay.impair(narrow)
            drops.append(run.clock.now())
            await asyncio.sleep(_NARROW)
            run.relay.impair(wide)
            await asyncio.sleep(_WIDE - _LEAD)

    _, seen = await one_way(stage, wide, meanwhile)
    settled: list[float] = []
    stood: list[Span] = []
    for at in drops:
        # The next reference, on a path that is wide again, is another story.
        rough = [
            until
            for since, until in seen.stood(concealed=False)
            if at < until < at + _NARROW and until - since > _ROUGH
        ]
        settled.append(max(rough, default=at) - at)
        stood += [span for span in seen.stood() if at < span[1] < at + _NARROW]
    frozen = [span for span in stood if span[1] - span[0] > _ROUGH]
    within = [any(p.sent < at < p.came for p in transit[0].references) for at in drops]
    figures = {
        "drops": len(drops),
        "in_the_middle_of_a_reference": sum(within),
        "longest_ms": ms(longest(stood)),
        "steady_after_s": [round(each, 2) for each in settled],
    }
    found = (
        f"longest picture {figures['longest_ms']} ms, steady after at most"
        f" {max(settled, default=0.0):.2f} s of {len(drops)} drops"
    )
    met = bool(drops) and not frozen and max(settled) <= 1.0
    return Row(found, "no freeze over 300 ms; steady within 1 s", met, figures, frozen)


async def traced(stage: Stage) -> Row:
    """A recorded link, one trace each way."""
    if stage.traces is None:
        raise TalkcodecError("expected a pair of traces, found none")
    up, down = (LinkConfig(rtt=RTT, trace=Trace.load(path)) for path in stage.traces)
    began: list[float] = []

    async def meanwhile(run: Running) -> None:
        began.append(run.clock.now())
        run.relay.impair(up, down)

    call, seen = await one_way(stage, up, meanwhile)
    frozen, share = seen.frozen(FREEZE), seen.fresh()
    figures = seen.report() | {
        "traces": [path.name for path in stage.traces],
        "freezes_over_200ms": len(frozen),
        "shown_within_two_groups": round(share, 4),
        # When the recorded link itself delivered nothing for long, either way.
        "longest_outage_ms": [
            ms(_outage(link.trace, call.end - began[0]))
            for link in (up, down)
            if link.trace is not None
        ],
        "lost_in_queue": [call.wire.forward.overflowed, call.wire.back.overflowed],
    }
    found = (
        f"{len(frozen)} freezes over 200 ms, longest {figures['longest_ms']} ms;"
        f" {100 * share:.2f} % within two groups; delay p95 {figures['delay_ms']['p95']} ms;"
        f" the link's own outages up to {max(figures['longest_outage_ms'])} ms"
    )
    return Row(found, "none set", None, figures, frozen)


def _outage(trace: Trace, seconds: float) -> float:
    """Return the longest time without an opportunity in the first ``seconds`` of ``trace``."""
    last = trace.first_after(seconds)
    return longest(pairwise(trace.time(number) for number in range(last)))
