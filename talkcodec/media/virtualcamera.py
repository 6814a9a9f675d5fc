# SPDX-License-Identifier: Apache-2.0
"""A camera that other programs see, through pyvirtualcam (GPL-2.0, and therefore an extra).

Nothing else imports it. On Linux it needs the v4l2loopback kernel module, elsewhere OBS.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from talkcodec.errors import InputError, MissingDependency

if TYPE_CHECKING:
    from talkcodec.media.sinks import ShownFrame


class VirtualCameraSink:
    """Sends pictures to a virtual camera; opened with the first, whose size it takes.

    ``device``: as ``/dev/video9``; None: the first there is.

    Raises:
        MissingDependency: pyvirtualcam is not installed.
        InputError: from ``show``: there is no virtual camera on this machine.
    """

    def __init__(self, device: str | None, tick_rate: Fraction) -> None:
        try:
            import pyvirtualcam
        except ImportError:
            raise MissingDependency(
                "expected pyvirtualcam, found none: pip install 'talkcodec[virtual-camera]'"
            ) from None
        self._open = pyvirtualcam.Camera
        self._device = device
        self._rate = float(tick_rate)
        self._camera: Any = None

    def show(self, frame: ShownFrame) -> None:
        if self._camera is None:
            height, width = frame.picture.shape[:2]
            try:
                self._camera = self._open(width, height, self._rate, device=self._device)
            except RuntimeError as error:
                raise InputError(f"expected a virtual camera, found none: {error}") from None
        self._camera.send(frame.picture)

    def close(self) -> None:
        if self._camera is not None:
            self._camera.close()
