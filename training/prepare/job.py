# SPDX-License-Identifier: Apache-2.0
"""A whole preparation: every clip, then the plan, then every shard, then the index and the page."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from talkcodec.errors import InputError
from training.prepare.clip import Record, prepare_clip, read_record
from training.prepare.executors import Executor, Json, Work
from training.prepare.files import to_json, write_json, write_text
from training.prepare.options import Options
from training.prepare.plan import SPLITS, Selection, histograms, plan_shards, select, totals
from training.prepare.shards import (
    FORMAT,
    INDEX,
    ShardPlan,
    import_webdataset,
    write_shard,
    written,
)
from training.prepare.sources import Source, find_sources
from training.prepare.summary import SUMMARY, write_summary
from training.prepare.teacher import check_teacher

SETTINGS = "settings.json"

#: Opens a bar of so many steps; what it yields is called for each.
Progress = Callable[[str, int], AbstractContextManager[Callable[[], None]]]


@dataclass(slots=True)
class Done:
    """What a run did.

    ``index``: as written. ``failed``: what could not be done, with the error. ``seconds``: of each
    stage. ``fresh``: clips that this run did; the others were recorded before. ``workers``: tasks
    that each of them did.
    """

    index: dict[str, Any]
    failed: dict[str, str]
    seconds: dict[str, float]
    fresh: int
    workers: Counter[str] = field(default_factory=Counter)


def prepare(
    clips: Path, out: Path, options: Options, executor: Executor, progress: Progress
) -> Done:
    """Prepare the videos in ``clips`` into ``out``; go on where an earlier run ended.

    Raises:
        InputError: ``clips`` or ``out`` cannot be used, or no passage is left.
        MissingDependency: a teacher or ``webdataset`` is not installed.
    """
    clips, out = clips.resolve(), out.resolve()
    if out == clips or clips in out.parents:
        raise InputError(f"expected a folder outside of {clips} to write to, found {out}")
    import_webdataset()
    teachers = check_teacher(mask=options.mask)
    found = find_sources(clips, options)
    _check_settings(out, options, teachers)
    run = _Run(executor, progress)
    records = _records(found.sources, out, options, run)
    chosen = select(records)
    if not chosen.passages:
        raise InputError(
            f"expected passages that can be used in {clips}, found {_why(chosen, run)}"
        )
    rows = _shards(plan_shards(chosen.passages, options.shard_megabytes), out, run)
    index = {
        "format": FORMAT,
        "teachers": teachers,
        "options": options.as_json(),
        "totals": totals(chosen.passages),
        "people": sorted({p["about"]["identity"] for p in chosen.passages}),
        "left_out": found.left_out,
        "rejected": dict(sorted(Counter(row["reason"] for row in chosen.rejected).items())),
        "refusals": chosen.rejected,
        "failed": dict(sorted(run.failed.items())),
        "histograms": histograms(chosen.passages),
        "shards": rows,
    }
    _publish(out, index, chosen, found.sources, run)
    return Done(index, run.failed, run.seconds, run.fresh, run.workers)


def _publish(
    out: Path, index: Json, chosen: Selection, sources: Sequence[Source], run: _Run
) -> None:
    """Write the index and the page, unless they stand there already."""
    page, file = out / SUMMARY, out / INDEX
    text = to_json(index)
    if page.is_file() and file.is_file() and file.read_text(encoding="utf-8") == text:
        return
    page.unlink(missing_ok=True)  # a page is of the index beside it
    write_text(file, text)
    with run.stage("summary", 1) as step:
        write_summary(out, index, chosen.passages, {s.name: s.path for s in sources})
        step()


class _Run:
    """Does the stages and remembers what failed and how long they took."""

    def __init__(self, executor: Executor, progress: Progress) -> None:
        self._executor = executor
        self._progress = progress
        self.failed: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.workers: Counter[str] = Counter()
        self.fresh = 0

    @contextmanager
    def stage(self, label: str, count: int) -> Iterator[Callable[[], None]]:
        """Time what is done inside, in ``count`` steps."""
        start = time.monotonic()
        with self._progress(label, count) as step:
            yield step
        self.seconds[label] = time.monotonic() - start

    def all(self, label: str, work: Work, tasks: Mapping[str, Json]) -> dict[str, Json]:
        """Return the results, by name, of the tasks that succeeded."""
        names = list(tasks)
        results = {}
        with self.stage(label, len(tasks)) as step:
            for outcome in self._executor.run(work, [tasks[name] for name in names]):
                name = names[outcome.index]
                if outcome.result is None:
                    self.failed[name] = outcome.error or "nothing came back"
                else:
                    results[name] = outcome.result
                    self.workers[outcome.worker] += 1
                step()
        return results


def clip_task(task: Json) -> Json:
    """Prepare one clip, on whatever machine this is."""
    source, options = Source.from_json(task["source"]), Options.from_json(task["options"])
    return prepare_clip(source, Path(task["out"]), options)


def shard_task(task: Json) -> Json:
    """Write one shard, on whatever machine this is."""
    out = Path(task["out"])
    return write_shard(ShardPlan.from_json(task["plan"]), out / "parts", out)


def _records(sources: Sequence[Source], out: Path, options: Options, run: _Run) -> list[Record]:
    kept = {source.name: read_record(source, out) for source in sources}
    records = {name: record for name, record in kept.items() if record is not None}
    settings = {"out": str(out), "options": options.as_json()}
    todo = {s.name: {"source": s.as_json(), **settings} for s in sources if s.name not in records}
    fresh = run.all("clips", clip_task, todo)
    run.fresh = len(fresh)
    records |= fresh
    return [records[name] for name in sorted(records)]


def _shards(plans: Sequence[ShardPlan], out: Path, run: _Run) -> list[dict[str, Any]]:
    kept = {plan.name: written(plan, out) for plan in plans}
    rows = {name: row for name, row in kept.items() if row is not None}
    tasks = {
        plan.name: {"plan": plan.as_json(), "out": str(out)}
        for plan in plans
        if plan.name not in rows
    }
    rows |= run.all("shards", shard_task, tasks)
    lost = [plan.name for plan in plans if plan.name not in rows]
    if lost:
        raise InputError(f"expected to write {lost[0]}, found {run.failed[lost[0]]}")
    for split in SPLITS:  # of an earlier, longer plan
        for path in out.glob(f"{split}-*.tar"):
            if path.name not in rows:
                path.unlink()
    return [rows[name] for name in sorted(rows)]


def _check_settings(out: Path, options: Options, teachers: Mapping[str, str]) -> None:
    """Refuse to go on with a preparation that was begun in another way."""
    now = {
        "format": FORMAT,
        "least seconds": options.min_seconds,
        "most seconds": options.max_seconds,
        **teachers,
    }
    file = out / SETTINGS
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        for name in sorted({*before, *now}):
            if before.get(name) != now.get(name):
                raise InputError(
                    f"expected {name} {before.get(name)} as {out} was begun, "
                    f"found {now.get(name)}: take another folder"
                )
    else:
        write_json(file, now)


def _why(chosen: Selection, run: _Run) -> str:
    """Say why nothing is left: the first failure, else the reasons with their counts."""
    if run.failed:
        return next(iter(run.failed.values()))
    counts = Counter(row["reason"] for row in chosen.rejected)
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "no clips"
