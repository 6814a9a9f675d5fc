# SPDX-License-Identifier: Apache-2.0
"""What a call does on bad paths, as one table: ``python -m talkcodec.rtc.study``.

The rows are simulated calls (``simulation.py``: real sessions and packets, virtual clock);
``talkcodec.cli.rows`` has the same ones over real peer connections with real pictures. Prints one
JSON object: a row each with what was found, what is wanted, and whether that is met.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from talkcodec.errors import InputError
from talkcodec.rtc.figures import gaps, ms, quantiles
from talkcodec.rtc.link import LinkConfig
from talkcodec.rtc.linktext import parse_link
from talkcodec.rtc.rate import RateConfig
from talkcodec.rtc.simulation import Log, Simulation, SimulationConfig
from talkcodec.rtc.soundrate import SoundRateConfig
from talkcodec.rtc.stats import FREEZE
from talkcodec.types import StreamSettings

#: Bytes of a reference: a first one at 256², one for a slow path, a later one.
KEY, COARSE_KEY, LATER = 3300, 2300, 1500

#: Seconds until a call is under way, before which nothing is measured.
_SETTLED = 4.0

#: Seconds between two pictures that came (not made up) that are not steady.
_ROUGH = 0.3

Row = dict[str, Any]
PAIRED = StreamSettings(2, 0, redundancy=True)


def steady(seconds: float = 120.0) -> Row:
    """Wire rate of a clean call, 25 fps in groups of 3, a later reference every 30 s."""
    references = tuple((10.0 + 30 * number, LATER) for number in range(round(seconds / 30)))
    config = SimulationConfig(parse_link("rtt=50"), seconds, references=references)
    simulation = Simulation(config)
    wire = [entry for entry in simulation.run().wire if entry[0] >= _SETTLED]
    lasted = wire[-1][0] - wire[0][0]
    forward, back = ((wire[-1][way] - wire[0][way]) * 8e-3 / lasted for way in (1, 2))
    counts = simulation.sender.counts
    payload = (counts.motion_bytes + counts.reference_bytes - KEY) * 8e-3 / seconds
    return {
        "wire_kbps_both": round(forward + back, 2),
        "wire_kbps_forward": round(forward, 2),
        "payload_kbps": round(payload, 2),
        "wanted": "wire <= 20, payload <= 6",
        "met": forward + back <= 20 and payload <= 6,
    }


def heavy_loss(seconds: float = 300.0, seed: int = 0) -> Row:
    """30 % random loss, 50 ms round trip; a later reference every 20 s."""
    references = tuple((20.0 * number, LATER) for number in range(1, round(seconds / 20)))
    link = parse_link("loss=0.3,rtt=50")
    log = Simulation(SimulationConfig(link, seconds, references=references, seed=seed)).run()
    wire = sum(log.wire[-1][way] for way in (1, 2)) * 8e-3 / log.wire[-1][0]
    stood, fresh = _gaps(log), [age <= 2 * group for _, age, group in log.ages]
    share = sum(fresh) / len(fresh)
    return {
        "freezes_over_200ms": sum(gap > FREEZE for gap in stood),
        "longest_ms": ms(max(stood)),
        "concealed": round(sum(shown.concealed for shown in log.shown) / len(log.shown), 4),
        "without_concealment": sum(gap > FREEZE for gap in _gaps(log, concealed=False)),
        "shown_within_two_groups": round(share, 4),
        "delay_ms": quantiles(_delays(log)),
        "wire_kbps_both": round(wire, 1),
        "wanted": "no freeze over 200 ms, 97 % of frame times within two groups",
        "met": max(stood) <= FREEZE and share >= 0.97,
    }


def blackout(phases: int = 12) -> Row:
    """Half a second in which nothing passes, beginning at different moments of a group."""
    recovered = []
    for phase in range(phases):
        end = 6.5 + 0.03 * phase
        link = LinkConfig(rtt=0.05, blackout=(end - 0.5, end))
        log = Simulation(SimulationConfig(link, 9.0)).run()
        times = [shown.time for shown in log.shown if not shown.concealed and shown.time > end]
        recovered.append(times[0] - end)
    return {
        "recovered_ms": {"p50": ms(median(recovered)), "max": ms(max(recovered))},
        "wanted": "<= 200 ms after its end",
        "met": max(recovered) <= 0.2,
    }


def references(calls: int = 20) -> Row:
    """References at 5 % loss and 50 ms: on a wide path, and where 40 kbit/s are all there is.

    What a reference does to motion is how long motion packets take that arrive: each its own time
    on the bottleneck, and what it waits there. A packet that is lost cannot be in time; its frames
    come as a coarse copy in a later packet, ``lost_motion_as_copy_ms`` after it left. The first
    reference of a call finds a path of which nothing is known, and no motion to delay yet.
    """
    wide, narrow = "loss=0.05,rtt=50", "loss=0.05,rtt=50,rate=40k"
    free = _transfers(parse_link(wide), KEY, calls)
    tight = _transfers(parse_link(narrow), COARSE_KEY, calls)
    return {
        "wide": free,
        "at_40_kbps": tight,
        "wanted": "motion <= 60 ms over half the round trip, reference <= 1.5 s at 40 kbit/s",
        "met": max(each["motion_over_half_rtt_ms"]["max"] for each in (free, tight)) <= 60
        and tight["reference_ms"]["max"] <= 1500,
    }


def _transfers(link: LinkConfig, size: int, calls: int) -> Row:
    first: list[float] = []
    took: list[float] = []
    late: list[float] = []
    copies: list[float] = []
    parity = requests = 0
    for seed in range(calls):
        due = tuple((6.0 * number, size) for number in range(1, 7))
        config = SimulationConfig(link, 42.0, first=KEY, references=due, seed=seed)
        simulation = Simulation(config)
        log = simulation.run()
        times = [(end or config.seconds) - begin for begin, end in log.references.values()]
        first.append(times[0])
        took += times[1:]
        late += [arrived - sent - link.rtt / 2 for sent, arrived in log.motion if sent > _SETTLED]
        copies += [came - sent - link.rtt / 2 for sent, came in log.copies if sent > _SETTLED]
        parity += simulation.receiver.references_recovered
        requests += simulation.receiver.counts.requests
    return {
        "bytes": size,
        "reference_ms": quantiles(took),
        "over_1500_ms": sum(seconds > 1.5 for seconds in took),
        "first_reference_ms": quantiles(first),
        "motion_over_half_rtt_ms": quantiles(late),
        "lost_motion_as_copy_ms": quantiles(copies),
        "references": len(took),
        "completed_by_parity": parity,
        "requests": requests,
    }


def latency(tracking: float, drawing: float) -> Row:
    """From capture to display on a clean path of 50 ms, groups of 2, and what it is made of."""
    link = parse_link("rtt=50")
    config = SimulationConfig(link, 30.0, best=PAIRED, tracking=tracking, drawing=drawing)
    simulation = Simulation(config)
    delays = _delays(simulation.run())
    parts = {
        "group": 1 / 25,
        "track_and_encode": tracking,
        "path": link.rtt / 2,
        "draw": drawing,
    }
    found = quantiles(delays)
    return {
        "capture_to_display_ms": found,
        "parts_ms": {name: ms(value) for name, value in parts.items()}
        | {"playout": round(found["p95"] - ms(sum(parts.values())), 1)},
        "wanted": "p95 <= 150 ms",
        "met": found["p95"] <= 150,
    }


def link_drop(phases: int = 8) -> Row:
    """From 2 Mbit/s to 20 kbit/s in the middle of a reference."""
    freezes, settled, late = [], [], []
    for phase in range(phases):
        at = 10.0 + 0.05 * phase
        script = ((at, parse_link("rtt=50,rate=20k")),)
        due = ((9.95, KEY), (20.0, COARSE_KEY))
        config = SimulationConfig(
            parse_link("rtt=50,rate=2M"), 30.0, script=script, references=due, seed=phase
        )
        log = Simulation(config).run()
        freezes.append(max(_gaps(log)))
        pictures = [shown.time for shown in log.shown if not shown.concealed]
        # The next reference, ten seconds later, is another story.
        rough = [b for a, b in pairwise(pictures) if b - a > _ROUGH and at < b < at + 9]
        settled.append(max(rough, default=at) - at)
        late += [arrived - sent for sent, arrived in log.motion if sent > at + 1]
    return {
        "longest_ms": ms(max(freezes)),
        "steady_after_s": round(max(settled), 2),
        "motion_delay_ms_after_1_s": quantiles(late),
        "wanted": "no freeze over 300 ms, steady within 1 s",
        "met": max(freezes) <= 0.3 and max(settled) <= 1.0,
    }


def narrow() -> Row:
    """A call that may take 10 kbit/s, both ways together, on a path of 10 kbit/s each way."""
    link = parse_link("rtt=50,rate=10k")
    rate = RateConfig(both=10_000.0)
    log = Simulation(SimulationConfig(link, 90.0, first=COARSE_KEY, rate=rate)).run()
    wire = [entry for entry in log.wire if entry[0] >= 30.0]
    lasted = wire[-1][0] - wire[0][0]
    both = sum(wire[-1][way] - wire[0][way] for way in (1, 2)) * 8e-3 / lasted
    pictures = [shown.time for shown in log.shown if shown.time >= 30.0]
    return {
        "wire_kbps_both": round(both, 2),
        "pictures_per_second": round(len(pictures) / (90.0 - 30.0), 1),
        "longest_ms": ms(max(b - a for a, b in pairwise(pictures))),
        "first_picture_s": round(log.shown[0].time, 1),
        "wanted": "a call at about 10 kbit/s, both ways",
        "met": both <= 10,
    }


def sound() -> Row:
    """Sound beside motion, where 40 kbit/s are all there is: by the path, and as on a wide one."""
    usual = SoundRateConfig()
    fitting = _sounding(usual)
    return {
        "as_on_a_wide_path": _sounding(replace(usual, narrow=usual.wide)),
        "by_the_path": fitting,
        "wanted": "no freeze over 200 ms, sound within 250 ms (p95)",
        "met": fitting["longest_ms"] <= 200 and fitting["sound_delay_ms"]["p95"] <= 250,
    }


def _sounding(config: SoundRateConfig) -> Row:
    due = tuple((6.0 * number, LATER) for number in range(1, 10))
    link = parse_link("rtt=50,rate=40k")
    simulation = Simulation(SimulationConfig(link, 60.0, references=due, sound=config))
    log = simulation.run()
    wire = [entry for entry in log.wire if entry[0] >= 10.0]
    forward = (wire[-1][1] - wire[0][1]) * 8e-3 / (wire[-1][0] - wire[0][0])
    times = [(end or 60.0) - begin for begin, end in log.references.values()]
    return {
        "sound_wire_kbps": round(config.narrow.wire / 1000, 1),
        "wire_kbps_forward": round(forward, 1),
        "sound_delay_ms": quantiles(end - begin for begin, end in log.sound if begin > 10.0),
        "motion_delay_ms": quantiles(end - begin for begin, end in log.motion if begin > 10.0),
        "longest_ms": ms(max(_gaps(log))),
        "reference_ms": quantiles(times[1:]),
        "datagrams_lost_in_the_queue": simulation.links[0].counts.overflowed,
    }


def traced(path: Path) -> Row:
    """A recorded link, replayed in both directions."""
    link = parse_link(f"rtt=50,trace={path}")
    due = tuple((5.0 * number, KEY) for number in range(1, 12))
    log = Simulation(SimulationConfig(link, 60.0, references=due)).run()
    return {
        "trace": path.name,
        "longest_ms": ms(max(_gaps(log))),
        "delay_ms": quantiles(_delays(log)),
        "reference_ms": quantiles([(end or 60.0) - a for a, end in log.references.values()]),
    }


@dataclass(frozen=True, slots=True)
class Options:
    """What to run: ``seconds`` of loss, measured ``tracking`` and ``drawing``, a ``trace``; some
    rows ``only``.
    """

    seconds: float = 300.0
    tracking: float = 0.016
    drawing: float = 0.012
    trace: Path | None = None
    only: tuple[str, ...] = ()


def study(options: Options, tell: Callable[[str], None] = lambda _: None) -> dict[str, Row]:
    """Run every simulated row, or those asked for. Raises ``InputError`` for unknown ones."""
    rows: dict[str, Callable[[], Row]] = {
        "steady": steady,
        "loss_30": lambda: heavy_loss(options.seconds),
        "blackout_500ms": blackout,
        "references_5": references,
        "latency_g2": lambda: latency(options.tracking, options.drawing),
        "drop_2M_20k": link_drop,
        "narrow_10k": narrow,
        "sound_40k": sound,
    }
    if options.trace is not None:
        path = options.trace
        rows["trace"] = lambda: traced(path)
    only = options.only or rows.keys()
    unknown = set(only) - rows.keys()
    if unknown:
        raise InputError(f"expected rows of {list(rows)}, found {sorted(unknown)}")
    return {name: _told(name, row, tell) for name, row in rows.items() if name in only}


def _told(name: str, row: Callable[[], Row], tell: Callable[[str], None]) -> Row:
    tell(name)
    return row()


def _gaps(log: Log, *, concealed: bool = True) -> list[float]:
    """Return the seconds that each picture stood, after the call has settled."""
    return [b - a for a, b in gaps(log.shown, _SETTLED, concealed=concealed)]


def _delays(log: Log) -> list[float]:
    """Return the seconds from capture to display of every frame that came."""
    return [
        shown.time - shown.tick / 25
        for shown in log.shown
        if not shown.concealed and shown.time >= _SETTLED
    ]


def main(arguments: list[str] | None = None) -> None:
    """Run the command; stdout gets one JSON object, stderr says what is going on."""
    parser = argparse.ArgumentParser(prog="python -m talkcodec.rtc.study", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="of the call at 30 %% loss")
    parser.add_argument("--tracking", type=float, default=16.0, help="ms a frame in the encoder")
    parser.add_argument("--drawing", type=float, default=12.0, help="ms a picture in the receiver")
    parser.add_argument("--trace", type=Path, help="a Mahimahi trace to replay as well")
    parser.add_argument("--only", action="append", default=[], metavar="ROW")
    given = parser.parse_args(arguments)
    options = Options(
        given.seconds, given.tracking / 1000, given.drawing / 1000, given.trace, tuple(given.only)
    )
    result = {"simulated": study(options, _say)}
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
