# SPDX-License-Identifier: Apache-2.0
"""torchrun with two processes on the CPU: one set of weights, different batches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.timeout(120)
def test_two_processes_train_one_network_on_different_batches(tmp_path: Path) -> None:
    script = ROOT / "tests" / "training" / "two_processes.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    # By name of this machine, its address may be asked of a name server that never answers.
    here = {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*launcher, "--local-addr=127.0.0.1", "--nproc-per-node=2", str(script), str(tmp_path)],
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    zero, one = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1))
    assert zero["weights"] == one["weights"]
    assert zero["step"] == one["step"] == 12
    assert zero["sizes"] == one["sizes"] == [4]  # half of the batch each
    assert not set(zero["sums"]) & set(one["sums"])
    assert (zero["first"], one["first"]) == (True, False)
    state = json.loads(
        (tmp_path / "run" / "checkpoints" / "step-00000012" / "state.json").read_text()
    )
    assert state["skipped"] == 1  # both left the step out that was bad for one
