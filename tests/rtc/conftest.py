# SPDX-License-Identifier: Apache-2.0
"""What several tests of calls begin with."""

from __future__ import annotations

from collections.abc import Iterator

import aiortc.rtcrtpreceiver
import pytest

from tests.rtc.stuck import Stuck


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stuck]:
    decoder = Stuck()
    monkeypatch.setattr(aiortc.rtcrtpreceiver, "get_decoder", lambda _codec: decoder)
    yield decoder
    decoder.let_go.set()
