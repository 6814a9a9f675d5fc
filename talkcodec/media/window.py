# SPDX-License-Identifier: Apache-2.0
"""A window through OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from talkcodec.media.sinks import ShownFrame

_ESCAPE = 27


class WindowSink:
    """Shows the newest picture. Windows belong to one thread, on some systems the main one.

    So ``show`` only keeps the picture, and whoever has that thread calls ``poll`` some fifty
    times a second. ``note``: what the title says beside the window's name; any thread may set it.
    """

    def __init__(self, title: str = "talkcodec") -> None:
        self.note = ""
        self._title = title
        self._noted = ""
        self._newest: ShownFrame | None = None
        self._drawn = False

    def show(self, frame: ShownFrame) -> None:
        """Keep ``frame`` for ``poll``, in place of one that was not drawn."""
        self._newest = frame

    def poll(self) -> bool:
        """Draw what is new; False once Escape was pressed."""
        frame, self._newest = self._newest, None
        if frame is not None:
            cv2.imshow(self._title, np.ascontiguousarray(frame.picture[:, :, ::-1]))
            self._drawn = True
        if self._drawn and self.note != self._noted:
            self._noted = self.note
            # The first name goes on being the one that OpenCV knows the window by.
            cv2.setWindowTitle(self._title, f"{self._title}: {self._noted}")
        return not self._drawn or cv2.pollKey() != _ESCAPE

    def close(self) -> None:
        """Take the window away, if there is one."""
        if self._drawn:
            cv2.destroyWindow(self._title)
