# SPDX-License-Identifier: Apache-2.0
"""How long each stage takes, on the built-in source.

Each canvas size runs in a process of its own, so that its peak memory is its own, and on one core
unless told otherwise: what a call may count on. Frames are drawn beforehand. ``track``, ``fit``,
``encode`` (analysis and redundancy included), ``judge`` (whether the face can be drawn at all)
and ``reference encode`` are the sender's stages,
``decode``, ``restore`` (once a reference), ``flow``, ``generate`` and ``compose`` the receiver's.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from contextlib import closing
from typing import Any, get_args

from talkcodec.clock import Stopwatch, SystemClock
from talkcodec.errors import TalkcodecError
from talkcodec.names import DEFAULT_RENDERER, RendererName

STAGES = (
    "track", "fit", "encode", "analyse", "judge", "reference encode", "decode", "restore", "flow",
    "generate", "compose",
)  # fmt: skip


def measure(size: int, seconds: float, renderer: RendererName = DEFAULT_RENDERER) -> dict[str, Any]:
    """Encode, decode and draw the built-in source in this process; return figures in ms.

    ``stages``: median, p95, mean and calls of each of ``STAGES`` and of the whole ``sender frame``
    and ``receiver frame``; the work of a group falls on its last frame, so see the mean.
    ``cores``: that this process may use.
    ``fps``: frames a second with sender and receiver one after the other.
    ``peak_rss_mb``: of the whole process, packages included.
    """
    import cv2

    from talkcodec.decoder import Decoder
    from talkcodec.encoder import Encoder, EncoderConfig
    from talkcodec.face import open_tracker
    from talkcodec.media.sources import builtin_source
    from talkcodec.modes import ModeConfig

    cv2.setNumThreads(1)
    frames = list(builtin_source(seconds, size))
    sender, receiver, clock = Stopwatch(), Stopwatch(), SystemClock()
    drawn = 0
    config = EncoderConfig(size=size, redundancy=True, renderer=renderer, modes=ModeConfig())
    with closing(open_tracker()) as tracker:
        encoder = Encoder(config, tracker, sender)
        decoder = Decoder(receiver, renderer)
        decoder.receive(encoder.header().data)
        begin = clock.now()
        for frame in [*frames, None]:
            with sender.stage("sender frame"):
                packets = encoder.flush() if frame is None else encoder.encode(frame)
            for packet in packets:
                for state in decoder.receive(packet.data):
                    if state.fresh:
                        with receiver.stage("receiver frame"):
                            decoder.render(state)
                        drawn += 1
        took = clock.now() - begin
    records = {**receiver.durations, **sender.durations}
    names = (*STAGES, "sender frame", "receiver frame")
    return {
        "frames": drawn,
        "cores": usable_cores(),
        "stages": {name: _summary(records.get(name, [])) for name in names},
        "fps": round(drawn / took, 1),
        "peak_rss_mb": round(_peak_rss() / 1e6, 1),
    }


def run(
    size: int, seconds: float, cores: int, renderer: RendererName = DEFAULT_RENDERER
) -> dict[str, Any]:
    """Return ``measure`` of a fresh process on ``cores`` cores, or on all where there are fewer.

    Raises:
        TalkcodecError: that process failed.
    """
    options = (str(size), str(seconds), str(cores), renderer)
    command = [sys.executable, "-m", "talkcodec.bench.speed", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (ours)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TalkcodecError(f"expected the measurement at {size} to finish, found: {last}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _summary(durations: list[float]) -> dict[str, float | int]:
    import numpy as np

    if not durations:
        return {"median_ms": 0.0, "p95_ms": 0.0, "mean_ms": 0.0, "calls": 0}
    median, high = np.percentile(np.asarray(durations) * 1000, [50, 95])
    return {
        "median_ms": round(float(median), 3),
        "p95_ms": round(float(high), 3),
        "mean_ms": round(sum(durations) / len(durations) * 1000, 3),
        "calls": len(durations),
    }


def _peak_rss() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def usable_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _pin(cores: int) -> None:
    """Keep this process to ``cores`` of its cores, where it has more and the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[-cores:])


def main() -> None:
    """Measure one size in this process and print JSON: what ``run`` starts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("size", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("cores", type=int)
    parser.add_argument("renderer", choices=get_args(RendererName))
    options = parser.parse_args()
    _pin(options.cores)
    sys.stdout.write(json.dumps(measure(options.size, options.seconds, options.renderer)))


if __name__ == "__main__":
    main()
