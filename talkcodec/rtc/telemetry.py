# SPDX-License-Identifier: Apache-2.0
"""Reports of a running call for machines: lines of JSON, and an endpoint for Prometheus.

Both show one flat table, ``snapshot``, of the dataclasses that sender and receiver report. The
endpoint is bound to loopback unless told otherwise: it tells who calls how well, and asks nobody
who wants to know.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, Self

from talkcodec.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from prometheus_client.core import Metric

Value = int | float | str | bool | None
Snapshot = dict[str, Value]

#: Seconds between two snapshots.
INTERVAL = 1.0

#: What is a level although it is whole; every other integer is a total.
_LEVELS = {"group", "quantiser", "divisor", "video_rate", "video_divisor", "video_side"}


def snapshot(reports: Mapping[str, Iterable[DataclassInstance]]) -> Snapshot:
    """Return one table of all ``reports``: field ``rtt`` under name ``sent`` is ``sent_rtt``.

    Reports are dataclasses of numbers, texts, booleans and None.
    """
    table: Snapshot = {}
    for name, parts in reports.items():
        for part in parts:
            table |= {f"{name}_{field}": value for field, value in asdict(part).items()}
    return table


class JsonLines:
    """Writes snapshots to a file, one JSON object a line. The file is begun anew."""

    def __init__(self, path: Path) -> None:
        try:
            self._file: IO[str] = path.open("w", encoding="utf-8")
        except OSError as error:
            raise InputError(f"expected a file to write to, found {path}: {error}") from None

    def write(self, table: Snapshot) -> None:
        """Add one line; it is on the disk when this returns."""
        self._file.write(json.dumps(table) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class PrometheusEndpoint:
    """Serves the latest snapshot at ``http://host:port/metrics``.

    Port 0 takes a free one, which ``port`` tells. Raises ``MissingDependency`` without
    prometheus-client, ``InputError`` where the port is taken.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        try:
            from prometheus_client import CollectorRegistry, start_http_server
        except ImportError:
            raise MissingDependency(
                "expected prometheus-client for an endpoint, found none: pip install"
                " talkcodec[stats]"
            ) from None
        registry = CollectorRegistry()
        self._latest: Snapshot = {}
        registry.register(self)
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except (OSError, OverflowError) as error:
            raise InputError(f"expected a free port at {host}, found {port}: {error}") from None
        self.port: int = self._server.server_port

    def write(self, table: Snapshot) -> None:
        """Serve ``table`` from now on."""
        self._latest = dict(table)

    def collect(self) -> list[Metric]:
        """Return the latest snapshot as metrics; called by prometheus-client on its threads."""
        from prometheus_client.core import (
            CounterMetricFamily,
            GaugeMetricFamily,
            InfoMetricFamily,
        )

        metrics: list[Metric] = []
        for name, value in self._latest.items():
            full, text = f"talkcodec_{name}", name.replace("_", " ")
            if isinstance(value, str):
                metrics.append(InfoMetricFamily(full, text, {"value": value}))
            elif isinstance(value, int) and not isinstance(value, bool) and not _is_level(name):
                metrics.append(CounterMetricFamily(full, text, value))
            elif value is not None:
                metrics.append(GaugeMetricFamily(full, text, float(value)))
        return metrics

    def close(self) -> None:
        """Stop serving and wait for the server's thread."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _is_level(name: str) -> bool:
    return name.partition("_")[2] in _LEVELS


class Sink(Protocol):
    """Takes snapshots."""

    def write(self, table: Snapshot) -> None:
        """Take one; must not wait long."""

    def close(self) -> None:
        """Free what it holds."""


class Telemetry:
    """Takes a snapshot every second of a running call and hands it to sinks.

    ::

        async with Telemetry(lambda: snapshot({"sent": [sender.report()]}), [JsonLines(path)]):
            ...     # the call

    A last snapshot is taken at the end. The sinks are closed with it.
    """

    def __init__(
        self, take: Callable[[], Snapshot], sinks: Iterable[Sink], interval: float = INTERVAL
    ) -> None:
        self._take = take
        self._sinks = list(sinks)
        self._interval = interval
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        try:
            self.write()
        finally:
            for sink in self._sinks:
                await asyncio.to_thread(sink.close)

    def write(self) -> None:
        """Take a snapshot now."""
        table = self._take()
        for sink in self._sinks:
            sink.write(table)

    async def _run(self) -> None:
        while True:
            self.write()
            await asyncio.sleep(self._interval)


def open_sinks(stats: Path | None, port: int | None) -> list[Sink]:
    """Return the sinks that the command line asks for: a file, an endpoint at a local port."""
    sinks: list[Sink] = []
    if stats is not None:
        sinks.append(JsonLines(stats))
    if port is not None:
        sinks.append(PrometheusEndpoint(port))
    return sinks
