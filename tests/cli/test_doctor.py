# SPDX-License-Identifier: Apache-2.0
"""What doctor looks for is what the distribution declares."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from talkcodec.cli import doctor

PROJECT: dict[str, Any] = tomllib.loads(
    (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]


def names(requirements: list[str]) -> set[str]:
    found = {re.split(r"[^\w.-]", line, maxsplit=1)[0].lower() for line in requirements}
    return found - {"talkcodec"}


def test_every_declared_package_is_looked_for() -> None:
    """A test of the installed metadata too: it is that of this pyproject.toml."""
    found = {name.lower(): extras for name, extras in doctor.declared().items()}
    if not found:
        pytest.skip("talkcodec is not installed")
    assert {name for name, extras in found.items() if not extras} == names(PROJECT["dependencies"])
    for extra, requirements in PROJECT["optional-dependencies"].items():
        if extra != "dev":
            for name in names(requirements):
                assert not found[name] or extra in found[name], name
    assert "pytest" not in found
    assert {"metrics", "train"} <= set(found["scipy"])


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["numpy>=2.0", "av<19,>=18"], {"numpy": [], "av": []}),
        (
            ["DISTS-pytorch==0.1; extra == 'metrics'", 'DISTS-pytorch==0.1; extra == "train"'],
            {"DISTS-pytorch": ["metrics", "train"]},
        ),
        (["ray[data]==2.60.0 ; extra == 'ray'"], {"ray": ["ray"]}),
        (["talkcodec[torch]; extra == 'train'", "ruff>=0.17; extra == 'dev'"], {}),
        (None, {}),
    ],
)
def test_metadata_is_read_as_it_is_written(
    lines: list[str] | None, expected: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: lines)
    assert doctor.declared() == expected


def test_what_is_missing_is_told_with_its_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["no-such-a>=1", "no-such-b; extra == 'call'", "no-such-b; extra == 'stats'", "numpy"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: lines)
    found = {check.name: check for check in doctor.examine()}
    assert found["numpy"].ok
    assert found["no-such-a"] == doctor.Check("no-such-a", False, True, "not installed")
    optional = found["no-such-b"]
    assert (optional.ok, optional.required) == (False, False)
    assert optional.found == "not installed (talkcodec[call], talkcodec[stats])"


def test_what_compare_needs_is_looked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import av

    monkeypatch.setenv("TALKCODEC_CACHE", str(tmp_path))
    monkeypatch.setattr(av, "codecs_available", av.codecs_available - {"libx265"})
    monkeypatch.setattr("talkcodec.metrics.vmaf.find_spec", lambda _: None)
    found = {check.name: check for check in doctor.examine()}
    wanted = {
        "compare: codecs": "found no libx265",
        "compare: VMAF": "expected the package imageio-ffmpeg",
        "compare: identity weights": "run python -m talkcodec.metrics.fetch",
    }
    for name, words in wanted.items():
        assert (found[name].ok, found[name].required) == (False, False)
        assert words in found[name].found
    assert found["video codecs"].ok


def test_sources_that_are_not_installed_declare_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> list[str]:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "requires", absent)
    assert doctor.declared() == {}
