# SPDX-License-Identifier: Apache-2.0
"""Many machines do the work, under Ray Data. The only place that imports Ray."""

from __future__ import annotations

import json
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from talkcodec.errors import InputError, MissingDependency
from training.prepare.executors import Json, Outcome, Work, attempt, worker_name

#: Blocks in which tasks travel: each costs the head some 10 ms.
MOST_BLOCKS = 2000

_PATIENCE = 10.0  # seconds for a cluster to answer


class RayData:
    """The machines of a Ray cluster, which share a file system.

    ``address``: ``HOST:PORT`` of the head, ``auto`` for the cluster this machine is in, or
    ``local`` for one of ``count`` workers that lives as long as this process.

    Raises:
        MissingDependency: Ray is not installed.
        InputError: no cluster answers.
    """

    def __init__(self, address: str, count: int) -> None:
        # Ray reports its use to its makers unless told not to, before it is imported.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if address not in ("auto", "local"):
            _check_reachable(address)
        try:
            import ray
            import ray.data
            import ray.exceptions
        except ImportError:
            raise MissingDependency(
                "expected the packages of talkcodec[ray], found none: see training/DATA.md"
            ) from None
        self._ray: Any = ray
        own: Json = {"address": "local", "num_cpus": count, "include_dashboard": False}
        where: Json = own if address == "local" else {"address": address}
        try:
            ray.init(**where, logging_level=logging.ERROR, log_to_driver=False)
        except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            told = " ".join(str(error).split())
            raise InputError(f"expected a Ray cluster at {address}, found {told}") from None
        context: Any = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # what a dead worker takes with it is counted here
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)

    def run(self, work: Work, tasks: Sequence[Json]) -> Iterator[Outcome]:
        """Yield outcomes; the tasks that died with another of their block get a second go."""
        missing = set(range(len(tasks)))
        for blocks in (MOST_BLOCKS, len(tasks)):
            if not missing:
                return
            for outcome in self._round(work, tasks, sorted(missing), blocks):
                missing.discard(outcome.index)
                yield outcome
        for index in sorted(missing):
            yield Outcome(index, None, "the worker ended, twice or more", "")

    def _round(
        self, work: Work, tasks: Sequence[Json], chosen: list[int], blocks: int
    ) -> Iterator[Outcome]:
        rows = [{"index": index, "task": json.dumps(tasks[index])} for index in chosen]
        dataset = self._ray.data.from_items(rows, override_num_blocks=min(len(rows), blocks))
        with warnings.catch_warnings():
            # Ray's own default repeats a task that kills its worker for ever, and the pinned
            # version has no other way to say so than one it means to replace.
            warnings.simplefilter("ignore")
            done = dataset.map(partial(_ray_row, work), num_cpus=1, max_retries=1)
        for row in done.iter_rows():
            stored = json.loads(row["result"])
            yield Outcome(int(row["index"]), stored, row["error"] or None, row["worker"])


def _check_reachable(address: str) -> None:
    """Knock: Ray itself would try for minutes, and say little."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise InputError(f"expected HOST:PORT, auto or local, found {address}")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"expected a Ray cluster at {address}, found {error}") from None


def _ray_row(work: Work, row: Json) -> Json:
    import cv2

    cv2.setNumThreads(1)  # every core has a process of its own
    outcome = attempt(work, int(row["index"]), json.loads(row["task"]), worker_name())
    return {
        "index": outcome.index,
        "result": json.dumps(outcome.result),
        "error": outcome.error or "",
        "worker": outcome.worker,
    }
