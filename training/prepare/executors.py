# SPDX-License-Identifier: Apache-2.0
"""Who does the work: this process, several of this machine, or others (``ray_data``).

Tasks and results are JSON objects, so that they travel anywhere. A task that raises or kills its
worker becomes an outcome with an error; the others go on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol, cast

Json = dict[str, Any]
#: A function of a module, so that another process finds it by name.
Work = Callable[[Json], Json]

#: Tasks after which a process is replaced by a fresh one: what native libraries leak ends with it.
TASKS_A_PROCESS = 50


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of task number ``index``: a ``result``, or an ``error`` of one line.

    ``worker``: who did it, for reports.
    """

    index: int
    result: Json | None
    error: str | None
    worker: str


class Executor(Protocol):
    """Does tasks."""

    def run(self, work: Work, tasks: Sequence[Json]) -> Iterator[Outcome]:
        """Yield one outcome a task, in whatever order they come."""
        ...


def attempt(work: Work, index: int, task: Json, worker: str) -> Outcome:
    """Do one task here."""
    try:
        return Outcome(index, work(task), None, worker)
    except Exception as error:  # noqa: BLE001  whatever a video does, the others go on
        told = " ".join(str(error).split()) or "no message"
        return Outcome(index, None, f"{type(error).__name__}: {told}", worker)


class OneProcess:
    """This process, one task after another."""

    def run(self, work: Work, tasks: Sequence[Json]) -> Iterator[Outcome]:
        for index, task in enumerate(tasks):
            yield attempt(work, index, task, worker_name())


class Processes:
    """``count`` processes of this machine.

    Not ``concurrent.futures``: there, one process that dies takes every waiting task with it.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, work: Work, tasks: Sequence[Json]) -> Iterator[Outcome]:
        waiting = deque(enumerate(tasks))
        busy: dict[Connection, _Process] = {}
        try:
            for _ in range(min(self._count, len(tasks))):
                _give(_Process(work), waiting, busy)
            while busy:
                for connection in wait(list(busy)):
                    process = busy.pop(cast("Connection", connection))
                    outcome = process.take()
                    if waiting and process.is_spent():
                        process.stop()
                        process = _Process(work)
                    _give(process, waiting, busy)
                    yield outcome
        finally:
            for process in busy.values():
                process.kill()


def _give(
    process: _Process, waiting: deque[tuple[int, Json]], busy: dict[Connection, _Process]
) -> None:
    if waiting:
        process.give(*waiting.popleft())
        busy[process.connection] = process
    else:
        process.stop()


class _Process:
    """A worker process and the task it is at."""

    def __init__(self, work: Work) -> None:
        # Spawned: a fork would share the native libraries' locks and threads.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, work), daemon=True)
        self._process.start()
        theirs.close()
        self._index = -1
        self._done = 0
        self._dead = False

    def give(self, index: int, task: Json) -> None:
        self._index = index
        try:
            self.connection.send((index, task))
        except OSError:
            self._dead = True  # ``take`` says so

    def take(self) -> Outcome:
        """Return the outcome of the task given, once the connection is ready."""
        self._done += 1
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, OSError):
            self._dead = True
            self._process.join()
            return Outcome(self._index, None, _ending(self._process.exitcode), "")
        return outcome

    def is_spent(self) -> bool:
        return self._dead or self._done >= TASKS_A_PROCESS

    def stop(self) -> None:
        self.connection.close()  # which ends its loop
        self._process.join()

    def kill(self) -> None:
        self.connection.close()
        self._process.kill()
        self._process.join()


def _serve(connection: Connection, work: Work) -> None:
    """Do what comes until nobody is there any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process decides on interruption
    import cv2

    cv2.setNumThreads(1)  # every core has a process of its own
    name = worker_name()
    while True:
        try:
            index, task = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(attempt(work, index, task, name))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"the worker was ended by {signal.Signals(-code).name}"
    return f"the worker ended with status {code}"


def worker_name() -> str:
    """Return the machine and process this is."""
    return f"{socket.gethostname()}:{os.getpid()}"
