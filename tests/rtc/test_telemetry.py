# SPDX-License-Identifier: Apache-2.0
"""Reports for machines: a file of JSON lines, and an endpoint that is asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from talkcodec.errors import InputError
from talkcodec.rtc.receiving import ReceiverSession
from talkcodec.rtc.sending import SenderSession
from talkcodec.rtc.telemetry import (
    JsonLines,
    PrometheusEndpoint,
    Snapshot,
    Telemetry,
    open_sinks,
    snapshot,
)


@dataclass(frozen=True)
class Part:
    packets: int
    rtt: float | None
    mode: str
    redundancy: bool
    group: int


TABLE = snapshot({"sent": [Part(7, 0.05, "motion", redundancy=True, group=3)]})


def metrics(port: int) -> dict[str, float]:
    """Return what the endpoint serves, as Prometheus reads it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_snapshot_is_one_flat_table() -> None:
    table = snapshot(
        {
            "sent": [SenderSession(bytes(8)).transport()],
            "received": [ReceiverSession().transport()],
        }
    )
    assert table["sent_group"] == 3
    assert table["sent_estimate"] == 100_000
    assert table["received_requests"] == 0
    assert json.loads(json.dumps(table)) == table


def test_lines_of_json_are_on_the_disk_at_once(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "stats.jsonl")
    lines.write(TABLE)
    lines.write(TABLE)
    found = (tmp_path / "stats.jsonl").read_text(encoding="utf-8").splitlines()
    lines.close()
    assert [json.loads(line) for line in found] == [TABLE, TABLE]


def test_prometheus_reads_totals_and_levels() -> None:
    endpoint = PrometheusEndpoint(0)
    try:
        endpoint.write(TABLE)
        found = metrics(endpoint.port)
    finally:
        endpoint.close()
    assert found == {
        "talkcodec_sent_packets_total": 7,
        "talkcodec_sent_rtt": 0.05,
        "talkcodec_sent_mode_info": 1,
        "talkcodec_sent_redundancy": 1,
        "talkcodec_sent_group": 3,
    }


def test_what_is_not_known_yet_is_not_told() -> None:
    endpoint = PrometheusEndpoint(0)
    try:
        assert metrics(endpoint.port) == {}
        endpoint.write({"sent_rtt": None})
        assert metrics(endpoint.port) == {}
    finally:
        endpoint.close()


def test_the_endpoint_is_on_loopback_and_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    endpoint = PrometheusEndpoint(0)
    assert endpoint._server.server_address[0] == "127.0.0.1"
    with pytest.raises(
        InputError, match=f"expected a free port at 127.0.0.1, found {endpoint.port}"
    ):
        PrometheusEndpoint(endpoint.port)
    endpoint.close()
    assert set(threading.enumerate()) == before


def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a file to write to"):
        open_sinks(tmp_path / "no" / "such.jsonl", None)


def test_a_running_call_is_reported_until_its_end(tmp_path: Path) -> None:
    taken: list[int] = []
    path = tmp_path / "stats.jsonl"

    def take() -> Snapshot:
        taken.append(len(taken))
        return {"number": len(taken)}

    async def call() -> None:
        async with Telemetry(take, open_sinks(path, None), interval=60.0):
            await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(call())
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines == [{"number": 1}, {"number": 2}]
