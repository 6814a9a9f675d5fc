# SPDX-License-Identifier: Apache-2.0
"""Whole preparations of a small folder: what is kept, what is refused, and going on later."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from talkcodec.errors import InputError
from talkcodec.motion.landmarks import LEFT_IRIS, RIGHT_IRIS
from talkcodec.types import U8
from tests.training.prepare.making import grey_pictures, write_video
from training.prepare import Passage, job, read_passages
from training.prepare.executors import Executor, Json, OneProcess, Outcome, Processes, Work
from training.prepare.job import Done, prepare
from training.prepare.mask import check_mask_teacher
from training.prepare.options import Options
from training.prepare.quality import LEAST_DETAIL

for _package in ("mediapipe", "webdataset"):
    pytest.importorskip(_package, reason=f"{_package} is not installed: requirements/teacher.txt")

pytestmark = pytest.mark.timeout(300)

# anna is in val, and nobody needs the mask's network
OPTIONS = Options(mask=False, val_share=0.4)


def silent(label: str, count: int) -> AbstractContextManager[object]:
    del label, count
    return nullcontext(lambda: None)


def run(
    videos: Path, out: Path, options: Options = OPTIONS, executor: Executor | None = None
) -> Done:
    return prepare(videos, out, options, executor or OneProcess(), silent)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def prepared(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    run(videos, out)
    return out


@pytest.fixture(scope="module")
def passages(prepared: Path) -> dict[str, Passage]:
    return {passage.key: passage for passage in read_passages(prepared)}


def outputs(out: Path) -> dict[str, bytes]:
    """Everything that a user gets, by name."""
    names = [*out.glob("*.tar"), out / "index.json", out / "summary.html", out / "settings.json"]
    return {path.name: path.read_bytes() for path in [*names, *out.glob("records/*")]}


def test_the_good_are_kept_and_the_bad_are_named(prepared: Path) -> None:
    index = json.loads((prepared / "index.json").read_text())
    assert [(row["name"], row["keys"]) for row in index["shards"]] == [
        ("train-000000.tar", ["ben__one-3c881ee0-000"]),
        ("val-000000.tar", ["anna__one-5da3224d-000"]),
    ]
    refused = {row["key"].split("-")[0]: row["reason"] for row in index["refusals"]}
    assert refused == {
        "ben__two": "duplicate",
        "cleo__away": "no face",
        "dora__torn": "unreadable",
    }
    assert index["rejected"] == {"duplicate": 1, "no face": 1, "unreadable": 1}
    assert index["failed"] == {}
    assert index["people"] == ["anna", "ben"]
    assert index["teachers"]["face"].startswith("mediapipe")
    everything = index["totals"]["all"]
    assert (everything["clips"], everything["frames"]) == (2, 60)
    assert everything["minutes"] == pytest.approx(2 * 1.2 / 60, abs=1e-3)
    assert everything["minutes_of_licence"] == {"unstated": everything["minutes"]}
    assert sum(index["histograms"]["train"]["yaw"]) == 30


def test_labels_fit_the_pictures(passages: dict[str, Passage], portrait_pictures: list[U8]) -> None:
    passage = next(p for key, p in passages.items() if key.startswith("anna"))
    labels, about = passage.labels, passage.about
    assert labels.found.all()
    assert labels.mask is None
    assert about["quality"]["detail"] > LEAST_DETAIL
    pictures = list(passage.pictures())
    assert len(pictures) == len(labels) == 30
    assert [tick * passage.time_base for tick in labels.ticks.tolist()][-1] == pytest.approx(1.16)
    # The portrait fills the video, so the window is the whole of it.
    assert np.abs(pictures[0].astype(int) - portrait_pictures[0]).mean() < 6
    assert labels.landmarks[0, RIGHT_IRIS[0], :2] == pytest.approx((106.7, 96.8), abs=8)
    assert labels.landmarks[0, LEFT_IRIS[0], :2] == pytest.approx((150, 99), abs=8)
    assert labels.blendshapes.min() >= 0
    assert 0.1 < labels.blendshapes.max() <= 1
    assert labels.pose[:, 3].tolist() == [[0, 0, 0, 1]] * 30
    assert np.linalg.det(labels.pose[:, :3, :3]) == pytest.approx(1, abs=0.1)


def test_a_large_source_gives_a_large_crop_too(passages: dict[str, Passage]) -> None:
    for key, passage in passages.items():
        assert (passage.large is not None) == key.startswith("anna")
        sizes = [256, 512] if passage.large else [256]
        assert passage.about["sizes"] == sizes
        for size in sizes:
            assert next(iter(passage.pictures(large=size == 512))).shape == (size, size, 3)


class Interrupted:
    """Does so many tasks and is then killed."""

    def __init__(self, count: int) -> None:
        self._count = count

    def run(self, work: Work, tasks: Sequence[Json]) -> Iterator[Outcome]:
        for outcome in OneProcess().run(work, tasks):
            if self._count == 0:
                raise KeyboardInterrupt
            self._count -= 1
            yield outcome


def test_interrupted_and_run_again_it_gives_the_same_bytes(
    videos: Path, prepared: Path, tmp_path: Path
) -> None:
    for count in (0, 1):  # one clip, then two more
        with pytest.raises(KeyboardInterrupt):
            run(videos, tmp_path, executor=Interrupted(count))
    assert len(list(tmp_path.glob("records/*.json"))) == 3
    # What a kill in the middle of a clip leaves: parts without a record, and half of some.
    (tmp_path / "parts" / "ben__two-0" / "x").mkdir(parents=True)
    (tmp_path / "parts" / ".ben__one.4711").mkdir()
    done = run(videos, tmp_path)
    assert done.fresh == 2
    assert outputs(tmp_path) == outputs(prepared)


def test_interrupted_at_the_shards_it_goes_on_there(
    videos: Path, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path, executor=Interrupted(5))  # five clips and a shard
    assert len(list(tmp_path.glob("*.tar"))) == 1
    assert not (tmp_path / "index.json").exists()
    assert run(videos, tmp_path).fresh == 0
    assert outputs(tmp_path) == outputs(prepared)


def test_two_processes_give_the_same_bytes(videos: Path, prepared: Path, tmp_path: Path) -> None:
    done = run(videos, tmp_path, executor=Processes(2))
    assert done.fresh == 5
    assert 1 <= len(done.workers) <= 4
    assert outputs(tmp_path) == outputs(prepared)


def test_a_finished_folder_is_left_as_it_is(videos: Path, prepared: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in prepared.glob("*.*")}
    assert run(videos, prepared).fresh == 0
    assert {path: path.stat().st_mtime_ns for path in prepared.glob("*.*")} == before


def test_a_page_that_is_gone_is_drawn_again(videos: Path, prepared: Path) -> None:
    before = outputs(prepared)
    (prepared / "summary.html").unlink()
    run(videos, prepared)
    assert outputs(prepared) == before


def test_a_clip_that_breaks_the_work_is_reported_and_tried_again(
    videos: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(task: Json) -> Json:
        if task["source"]["identity"] == "ben":
            raise RuntimeError("no more\nmemory")
        return whole(task)

    whole = job.clip_task
    monkeypatch.setattr(job, "clip_task", breaks)
    done = run(videos, tmp_path)
    assert sorted(name.split("-")[0] for name in done.failed) == ["ben__one", "ben__two"]
    assert set(done.failed.values()) == {"RuntimeError: no more memory"}
    assert done.index["failed"] == done.failed
    assert done.index["totals"]["all"]["people"] == 1
    monkeypatch.undo()
    assert run(videos, tmp_path).fresh == 2
    assert outputs(tmp_path) == outputs(prepared)


def test_a_person_renamed_is_prepared_again(videos: Path, tmp_path: Path) -> None:
    run(videos, tmp_path)
    named = run(videos, tmp_path, Options(mask=False, val_share=0.4, identity=r"^(...)"))
    assert named.index["people"] == ["ann", "ben"]
    assert named.fresh == 1  # ben is ben still
    assert {p.about["identity"] for p in read_passages(tmp_path)} == {"ann", "ben"}


def test_another_way_of_cutting_needs_another_folder(videos: Path, prepared: Path) -> None:
    words = r"expected most seconds 60\.0 as .* found 5: take another folder"
    with pytest.raises(InputError, match=words):
        run(videos, prepared, Options(mask=False, max_seconds=5))


def test_the_output_may_not_lie_among_the_clips(videos: Path) -> None:
    with pytest.raises(InputError, match="expected a folder outside of"):
        run(videos, videos / "out")
    assert not (videos / "out").exists()


def test_a_folder_without_anything_of_use_says_why(tmp_path: Path) -> None:
    write_video(tmp_path / "in" / "wall.mp4", grey_pictures(30, 90))
    with pytest.raises(InputError, match=r"expected passages that can be used .*found no face 1"):
        run(tmp_path / "in", tmp_path / "out")


def test_the_page_is_complete_in_itself(prepared: Path) -> None:
    page = (prepared / "summary.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    assert page.count("<svg") == 6
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    sheets = [cv2.imdecode(np.frombuffer(base64.b64decode(p), np.uint8), 1) for p in pictures]
    assert len(sheets) == 2 * 3 + 1
    assert all(sheet is not None and sheet.std() > 20 for sheet in sheets)
    for words in ("ben__two", "refused: duplicate", "unstated", "yaw"):
        assert words in page


def has_mask() -> bool:
    try:
        check_mask_teacher()
    except Exception:  # noqa: BLE001  whatever is missing
        return False
    return True


@pytest.mark.skipif(not has_mask(), reason="the person mask is not installed: make teacher-weights")
def test_the_mask_covers_the_person(videos: Path, tmp_path: Path) -> None:
    run(videos, tmp_path, Options(val_share=0.4, split="train"))
    (passage,) = read_passages(tmp_path)
    mask = passage.labels.mask
    assert mask is not None
    assert mask.shape == (30, 64, 64)
    assert (mask[:, 24:40, 26:38] > 200).mean() > 0.95  # the face
    assert (mask[:, :6] < 50).mean() > 0.5  # above the head
