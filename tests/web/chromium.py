# SPDX-License-Identifier: Apache-2.0
"""Pages in a real Chromium whose camera plays a clip made for it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.async_api import Browser, Page, Playwright

from talkcodec.types import U8
from tests.web.served import PATIENCE

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

_FLAGS = (
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def write_clip(path: Path, pictures: Iterable[U8]) -> None:
    """Write what a fake camera plays over and over: Motion JPEG, 640 × 480, 30 frames a second."""
    with path.open("wb") as file:
        for picture in pictures:
            frame = np.full((480, 640, 3), 96, np.uint8)
            frame[:, 80:560] = cv2.resize(picture, (480, 480))
            bgr = np.ascontiguousarray(frame[:, :, ::-1])
            file.write(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())


class Tab:
    """One page. ``complaints``: what its console told of errors."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(message.text)

    async def ask(self, expression: str) -> Any:
        return await self.page.evaluate(expression)

    async def until(self, expression: str) -> None:
        """Wait until ``expression`` is true. The page's policy forbids Playwright's own way."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not await self.ask(f"() => Boolean({expression})"):  # noqa: ASYNC110  a page
                    await asyncio.sleep(0.2)
                return
        raise AssertionError(f"expected {expression}, found {await self.told()}")

    async def told(self) -> str:
        """Return what the page says, for people who wonder."""
        names = "['program', 'mode', 'sends', 'told', 'trouble', 'path', 'n-frames-sent']"
        return f"{await self.ask(f'{names}.map(texts)')}, {self.complaints}"

    async def text(self, id_: str) -> str:
        return (await self.page.text_content(f"#{id_}") or "").strip()

    async def picture(self) -> U8:
        """Return what the peer's picture shows now, uint8 (64, 64, 3)."""
        values = await self.ask(
            """() => {
              const canvas = document.createElement("canvas");
              canvas.width = canvas.height = 64;
              const context = canvas.getContext("2d");
              context.drawImage(document.getElementById("peer"), 0, 0, 64, 64);
              return Array.from(context.getImageData(0, 0, 64, 64).data);
            }"""
        )
        return np.array(values, np.uint8).reshape(64, 64, 4)[:, :, :3]

    async def different_pictures(self, count: int) -> None:
        """Wait until ``count`` pictures in a row were each unlike the one before."""
        last, seen = await self.picture(), 0
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while seen < count:
                    await asyncio.sleep(0.1)
                    now = await self.picture()
                    if np.abs(now.astype(int) - last).mean() > 0.1:
                        last, seen = now, seen + 1
                return
        raise AssertionError(f"expected {count} pictures, found {seen}: {await self.told()}")


@asynccontextmanager
async def browsing(playwright: Playwright, clip: Path, address: str) -> AsyncIterator[Tab]:
    """Open ``address`` in a browser of its own, whose camera plays ``clip``."""
    browser: Browser = await playwright.chromium.launch(
        executable_path=CHROMIUM, args=[*_FLAGS, f"--use-file-for-fake-video-capture={clip}"]
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(browser.close)
        page = await browser.new_page(viewport={"width": 1100, "height": 900})
        page.set_default_timeout(1000 * PATIENCE)
        tab = Tab(page)
        await page.add_init_script(
            "window.texts = (id) => document.getElementById(id)?.textContent"
        )
        await page.goto(address)
        yield tab


def folder(temporary: Path) -> Path:
    """Return where screenshots go: what TALKCODEC_SCREENSHOTS names, or ``temporary``."""
    named = os.environ.get("TALKCODEC_SCREENSHOTS")
    found = Path(named) if named else temporary
    found.mkdir(parents=True, exist_ok=True)
    return found
