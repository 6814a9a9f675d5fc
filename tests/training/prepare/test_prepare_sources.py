# SPDX-License-Identifier: Apache-2.0
"""Which videos are taken, who is in them, and that nobody is in both splits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talkcodec.errors import InputError
from training.prepare.options import Options
from training.prepare.sources import Source, find_sources, safe_name, split_of

HEAD = "id\tsplit\tidentity\trepo_licence"


def lay(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def manifest(folder: Path, *rows: str, head: str = HEAD) -> Path:
    (folder / "manifest.tsv").write_text("\n".join([head, *rows]) + "\n")
    return folder


def test_every_video_below_a_folder_is_taken(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.mp4", "a/2.MKV", "b/c/3.webm", "4.mov", "notes.txt", ".cache/5.mp4")
    found = find_sources(tmp_path, Options())
    assert not found.manifest
    assert {source.path.name: source.identity for source in found.sources} == {
        "1.mp4": "a",
        "2.MKV": "a",
        "3.webm": "b",
        "4.mov": "4",
    }
    assert [source.name for source in found.sources] == sorted(s.name for s in found.sources)
    assert all(source.licence == "unstated" for source in found.sources)


def test_an_expression_names_the_person(tmp_path: Path) -> None:
    lay(tmp_path, "x/id07_1.mp4", "y/id07_2.mp4", "y/id12_1.mp4")
    found = find_sources(tmp_path, Options(identity=r"(id\d+)_"))
    assert {source.identity for source in found.sources} == {"id07", "id12"}
    assert len({source.split for source in found.sources if source.identity == "id07"}) == 1
    with pytest.raises(InputError, match=r"to match every path, found x/id07_1\.mp4"):
        find_sources(tmp_path, Options(identity=r"(name\d+)"))


def test_the_documented_expressions_name_people() -> None:
    text = (Path(__file__).parents[3] / "training" / "DATA.md").read_text(encoding="utf-8")
    celebv, hdtf = re.findall(r"--identity '([^']+)'", text)
    for pattern, path, person in (
        (celebv, "M2Ohb0FAaJU_1.mp4", "M2Ohb0FAaJU"),
        (celebv, "a/_0tf2n3rlJU_0.mp4", "_0tf2n3rlJU"),
        (hdtf, "WDA_BarackObama_000.mp4", "WDA_BarackObama"),
        (hdtf, "WRA_AdamKinzinger1_000.mp4", "WRA_AdamKinzinger"),
        (hdtf, "RD_Radio18_000.mp4", "RD_Radio18"),
    ):
        assert Options(identity=pattern).identity == pattern
        match = re.search(pattern, path)
        assert match is not None
        assert match[1] == person


@given(st.text(max_size=30), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_of_val_only_adds_people(person: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert split_of(person, low) == "train" or split_of(person, high) == "val"


def test_val_gets_its_share() -> None:
    people = [split_of(str(number), 0.2) for number in range(4000)]
    assert people.count("val") / len(people) == pytest.approx(0.2, abs=0.02)
    assert split_of("anybody", 0) == "train"
    assert split_of("anybody", 1) == "val"


@given(st.text(min_size=1, max_size=200))
def test_names_are_safe_and_short(raw: str) -> None:
    name = safe_name(raw)
    assert name.replace("-", "").replace("_", "").isalnum() or set(name) <= {"-", "_"}
    assert name.isascii()
    assert len(name) + len("-000.512.mp4") <= 100


@given(st.lists(st.text(min_size=1, max_size=90), min_size=2, max_size=8, unique=True))
def test_names_stay_apart(raws: list[str]) -> None:
    assert len({safe_name(raw) for raw in raws}) == len(raws)


def test_two_videos_of_one_name_are_refused(tmp_path: Path) -> None:
    lay(tmp_path, "a/1.mp4", "a/1.mkv")
    with pytest.raises(InputError, match=r"expected one video a name, found 1\.mkv and 1\.mp4"):
        find_sources(tmp_path, Options())


def test_a_manifest_speaks_for_its_clips(tmp_path: Path) -> None:
    lay(tmp_path, "clips/train/a.mp4", "clips/val/b.mp4", "clips/train/c.mp4")
    manifest(tmp_path, "a\ttrain\t1\tMIT", "b\tval\t2\tCC-BY-4.0", "c\ttrain\t3\tCC-BY-NC-4.0")
    found = find_sources(tmp_path, Options())
    assert [(s.name, s.split, s.identity) for s in found.sources] == [
        ("a", "train", "1"),
        ("b", "val", "2"),
    ]
    assert found.left_out == {"licence": 1}
    assert len(find_sources(tmp_path, Options(licence="any")).sources) == 3
    only = find_sources(tmp_path, Options(split="val"))
    assert [source.name for source in only.sources] == ["b"]
    assert only.left_out == {"other split": 2}


@pytest.mark.parametrize(
    ("rows", "head", "words"),
    [
        (["a\ttrain\t1"], "id\tsplit\tidentity", "expected a column repo_licence"),
        (["a\ttrain\t\tMIT"], HEAD, "expected a column identity"),
        (["a\ttest\t1\tMIT"], HEAD, "expected train or val in .*, found test"),
        (["gone\ttrain\t1\tMIT"], HEAD, "gone.mp4 as manifest.tsv says, found none"),
        (["a\ttrain\t1\tMIT", "b\tval\t1\tMIT"], HEAD, "found 1 in train and val"),
        ([], HEAD, "expected videos in .*, found none"),
    ],
)
def test_a_manifest_that_cannot_be_followed(
    tmp_path: Path, rows: list[str], head: str, words: str
) -> None:
    lay(tmp_path, "clips/train/a.mp4", "clips/val/b.mp4")
    manifest(tmp_path, *rows, head=head)
    with pytest.raises(InputError, match=words) as caught:
        find_sources(tmp_path, Options())
    assert "\n" not in str(caught.value)


def test_a_clip_listed_twice_is_refused(tmp_path: Path) -> None:
    lay(tmp_path, "clips/train/a.mp4")
    manifest(tmp_path, "a\ttrain\t1\tMIT", "a\ttrain\t1\tMIT")
    with pytest.raises(InputError, match="expected one video a name"):
        find_sources(tmp_path, Options())


def test_no_folder_and_no_videos(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a folder of videos"):
        find_sources(tmp_path / "none", Options())
    with pytest.raises(InputError, match="expected videos in"):
        find_sources(tmp_path, Options())


def test_a_source_travels_as_json(tmp_path: Path) -> None:
    (source,) = find_sources(lay(tmp_path, "a/1.mp4"), Options()).sources
    assert Source.from_json(source.as_json()) == source


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"licence": "free"}, "permissive or any, found free"),
        ({"split": "test"}, "train or val, found test"),
        ({"val_share": 2.0}, "from 0 to 1, found 2"),
        ({"min_seconds": 3.0, "max_seconds": 2.0}, "found 3.0 and 2.0"),
        ({"shard_megabytes": 0.0}, "more than 0 MB, found 0"),
        ({"identity": "id(\\d+"}, "expected a regular expression"),
        ({"identity": "id\\d+"}, "expected a group that names the person"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Options.from_json(options)


def test_options_travel_as_json() -> None:
    options = Options(split="val", identity="(a)", mask=False)
    assert Options.from_json(options.as_json()) == options
