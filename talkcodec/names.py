# SPDX-License-Identifier: Apache-2.0
"""Names that commands offer before anything heavy is imported."""

from __future__ import annotations

from typing import Literal

TrackerName = Literal["builtin", "mediapipe", "face-alignment"]

#: Needs nothing that is not in the package or among its dependencies.
DEFAULT_TRACKER: TrackerName = "builtin"

#: ``"auto"``: the learned renderer where an engine is installed, else the geometric one.
RendererName = Literal["auto", "generated", "geometric"]
DEFAULT_RENDERER: RendererName = "auto"
