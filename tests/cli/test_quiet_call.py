# SPDX-License-Identifier: Apache-2.0
"""A call contacts the server that was named and the peer, and nobody else."""

from __future__ import annotations

import ipaddress
import re
import subprocess
from pathlib import Path

from tests.test_quiet_network import TALKCODEC, watch

QUIET = ("--input", "none", "--output", "none", "--seconds", "2")


def test_a_call_speaks_to_its_server_and_its_peer_only(tmp_path: Path) -> None:
    with subprocess.Popen(
        [TALKCODEC, "call", "--signaling", "listen:127.0.0.1:0", *QUIET],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as other:
        try:
            assert other.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", other.stderr.readline())
            assert found is not None
            seen = watch(tmp_path, TALKCODEC, "call", "--signaling", found[0], *QUIET)
            assert other.wait(120) == 0
        finally:
            other.kill()
    assert seen.status == 0, seen.errors
    assert seen.refused == []
    sent = [line.split() for line in seen.reached if not line.endswith(("netlink", "unspecified"))]
    assert ["connect", "inet", "127.0.0.1", found[1]] in sent
    assert len(sent) > 10
    for _, family, address, port in sent:
        assert family in {"inet", "inet6"}
        assert not ipaddress.ip_address(address).is_global
        assert int(port) > 1023
