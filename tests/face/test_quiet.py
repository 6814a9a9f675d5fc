# SPDX-License-Identifier: Apache-2.0
"""Native chatter is dropped, everything else on standard error is passed on."""

from __future__ import annotations

import os

import pytest

from talkcodec.face.quiet import quiet_native_log


def test_only_chatter_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_native_log():
        os.write(2, b"W0000 00:00:1.2 12 face_landmarker_graph.cc:174] Sets acceleration\n")
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"E0000 something is really wrong\n")
        os.write(2, b"Traceback of another thread\n")
    os.write(2, b"after\n")
    expected = "E0000 something is really wrong\nTraceback of another thread\nafter\n"
    assert capfd.readouterr().err == expected


def test_lines_survive_an_exception(capfd: pytest.CaptureFixture[str]) -> None:
    def failing() -> None:
        with quiet_native_log():
            os.write(2, b"kept\n")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert capfd.readouterr().err == "kept\n"
