# SPDX-License-Identifier: Apache-2.0
"""Whoever does the tasks, each has one outcome, and a bad one costs no other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from talkcodec.errors import InputError
from tests.training.prepare.chores import chore
from training.prepare import executors
from training.prepare.executors import Executor, Json, OneProcess, Outcome, Processes

TASKS: list[Json] = [{"number": number} for number in range(7)]


def run(executor: Executor, tasks: Sequence[Json]) -> list[Outcome]:
    outcomes = list(executor.run(chore, tasks))
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(tasks)))
    return sorted(outcomes, key=lambda outcome: outcome.index)


def squares(outcomes: Sequence[Outcome]) -> list[int | None]:
    return [None if o.result is None else int(o.result["square"]) for o in outcomes]


@pytest.mark.parametrize("executor", [OneProcess(), Processes(1), Processes(3)])
def test_every_task_has_one_outcome(executor: Executor) -> None:
    assert squares(run(executor, TASKS)) == [0, 1, 4, 9, 16, 25, 36]


@pytest.mark.parametrize("executor", [OneProcess(), Processes(2)])
def test_nothing_to_do_is_done_at_once(executor: Executor) -> None:
    assert run(executor, []) == []


def test_one_process_is_this_one() -> None:
    (outcome,) = run(OneProcess(), TASKS[:1])
    assert outcome.result == {"square": 0, "process": os.getpid()}


@pytest.mark.parametrize("executor", [OneProcess(), Processes(2)])
def test_a_task_that_raises_is_told_in_one_line(executor: Executor) -> None:
    tasks = [*TASKS[:2], {"number": 2, "then": "raise"}, TASKS[3]]
    outcomes = run(executor, tasks)
    assert squares(outcomes) == [0, 1, None, 9]
    assert outcomes[2].error == "ValueError: no such number"


def test_a_task_that_ends_its_process_costs_no_other() -> None:
    tasks = [{"number": 0, "then": "exit"}, {"number": 1, "then": "kill"}, *TASKS[2:]]
    outcomes = run(Processes(2), tasks)
    assert squares(outcomes) == [None, None, 4, 9, 16, 25, 36]
    assert outcomes[0].error == "the worker ended with status 7"
    assert outcomes[1].error == "the worker was ended by SIGKILL"


def test_all_processes_may_die() -> None:
    outcomes = run(Processes(2), [{"number": n, "then": "exit"} for n in range(4)])
    assert squares(outcomes) == [None] * 4


def test_processes_are_replaced_after_some_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "TASKS_A_PROCESS", 2)
    outcomes = run(Processes(1), TASKS)
    did = [outcome.result["process"] for outcome in outcomes if outcome.result]
    assert len(set(did)) == 4
    assert did[0] == did[1] != did[2]


def test_who_stops_listening_leaves_no_process() -> None:
    outcomes = Processes(2).run(chore, TASKS)
    first = next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert first.result is not None
    with pytest.raises(ProcessLookupError):
        os.kill(int(first.result["process"]), 0)


@pytest.mark.timeout(120)
@pytest.mark.filterwarnings("ignore")  # Ray leaves sockets and files to the garbage collector
def test_ray_does_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed: requirements/ray.txt")
    from training.prepare.ray_data import RayData

    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    with pytest.raises(InputError, match="expected a Ray cluster at 127"):
        RayData("127.0.0.1:1", 1)
    with pytest.raises(InputError, match="expected HOST:PORT, auto or local, found here"):
        RayData("here", 1)
    try:
        tasks = [
            *TASKS[:2],
            {"number": 2, "then": "raise"},
            {"number": 3, "then": "exit"},
            TASKS[4],
        ]
        outcomes = run(RayData("local", 2), tasks)
    finally:
        ray.shutdown()
    assert squares(outcomes) == [0, 1, None, None, 16]
    assert outcomes[2].error == "ValueError: no such number"
    assert outcomes[3].error == "the worker ended, twice or more"
