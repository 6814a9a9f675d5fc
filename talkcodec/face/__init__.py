# SPDX-License-Identifier: Apache-2.0
"""Pictures to dense landmarks of one face, whichever network finds them.

``tracker.py`` has the protocol and ``open_tracker``; ``follow.py`` decides which face is followed;
``builtin.py`` is the tracker that ships, ``mediapipe.py`` and ``fan.py`` are adapters to others.
They are imported when opened.
"""

from __future__ import annotations

from talkcodec.face.follow import Follower
from talkcodec.face.tracker import (
    FaceFinder,
    FaceTracker,
    FollowingTracker,
    open_tracker,
)
from talkcodec.names import DEFAULT_TRACKER

__all__ = [
    "DEFAULT_TRACKER",
    "FaceFinder",
    "FaceTracker",
    "Follower",
    "FollowingTracker",
    "open_tracker",
]
