# SPDX-License-Identifier: Apache-2.0
"""VMAF by the ffmpeg binary of ``imageio-ffmpeg``, run as a separate process.

The binary is GPL and stays outside our process; its built-in default model was made for 1080p
on a television, so read VMAF of a 256² picture as an order, not as a grade.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from talkcodec.errors import MissingDependency
from talkcodec.metrics.base import Clip, Column, Scores, check_pair

REQUIREMENT = "imageio-ffmpeg==0.8.1"

_GRAPH = (
    "[0:v]format=yuv420p[out];[1:v]format=yuv420p[ref];"
    "[out][ref]libvmaf=log_fmt=json:log_path=vmaf.json:n_threads=1"
)
_TIMEOUT_SECONDS = 600


def find_ffmpeg() -> str:
    """Return the path of an ffmpeg that knows VMAF.

    Raises:
        MissingDependency: ``imageio-ffmpeg`` is not installed, or its ffmpeg has no libvmaf.
    """
    if find_spec("imageio_ffmpeg") is None:
        raise MissingDependency(f"expected the package {REQUIREMENT}, found none installed")
    import imageio_ffmpeg

    try:
        ffmpeg: str = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MissingDependency(f"expected an ffmpeg in {REQUIREMENT}: {error}") from error
    command = [ffmpeg, "-hide_banner", "-filters"]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - fixed program
    if b" libvmaf " not in done.stdout:
        raise MissingDependency(f"expected libvmaf in {ffmpeg}, found none")
    return ffmpeg


class Vmaf:
    """VMAF of every frame, 0 to 100."""

    name = "vmaf"
    columns = (Column("vmaf", "", lower_is_better=False),)
    whole = True

    def __init__(self) -> None:
        self._ffmpeg = find_ffmpeg()

    def against(self, source: Clip) -> VmafScorer:
        return VmafScorer(self._ffmpeg, source)


class VmafScorer:
    """VMAF against one source."""

    def __init__(self, ffmpeg: str, source: Clip) -> None:
        self._ffmpeg = ffmpeg
        self._source = source

    def score(self, output: Clip) -> Scores:
        check_pair(self._source, output)
        with tempfile.TemporaryDirectory(prefix="talkcodec-vmaf-") as name:
            folder = Path(name)
            command = [self._ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "error"]
            for label, clip in (("output", output), ("source", self._source)):
                _write_raw(folder / f"{label}.rgb", clip)
                height, width = clip.frames[0].shape[:2]
                command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
                command += ["-r", str(clip.fps), "-i", f"{label}.rgb"]
            command += ["-lavfi", _GRAPH, "-f", "null", "-"]
            done = subprocess.run(  # noqa: S603 - fixed program, arguments are ours
                command, cwd=folder, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False
            )
            if done.returncode:
                reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
                raise MissingDependency(f"expected an ffmpeg with libvmaf: {' '.join(reason)}")
            log = json.loads((folder / "vmaf.json").read_text(encoding="utf-8"))
        values = [frame["metrics"]["vmaf"] for frame in log["frames"]]
        return {"vmaf": np.array(values, np.float64)}


def _write_raw(path: Path, clip: Clip) -> None:
    with path.open("wb") as file:
        for frame in clip.frames:
            file.write(frame.tobytes())
