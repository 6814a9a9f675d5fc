# SPDX-License-Identifier: Apache-2.0
"""Two programs and two pages that call each other, in a real Chromium.

``TALKCODEC_SCREENSHOTS=FOLDER`` keeps the pictures that are taken on the way. Where the clips of
real people are at hand, one of the two cameras plays one of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from talkcodec.media.reader import VideoReader
from talkcodec.media.sources import builtin_source

pytest.importorskip("playwright")

from playwright.async_api import async_playwright

from tests.web.chromium import CHROMIUM, Tab, browsing, folder, write_clip
from tests.web.served import program

pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium is installed"),
    pytest.mark.timeout(600),
]

REAL = sorted((Path(__file__).parents[3] / "shared/data/clips/val").glob("*.mp4"))
CALLING = "texts('mode').startsWith('Motion') && !document.getElementById('synthesised').hidden"
READY = (
    "texts('program') === 'Connected to the program' && document.getElementById('self').videoWidth"
)


@pytest.fixture
async def tabs(tmp_path: Path) -> AsyncIterator[tuple[Tab, Tab]]:
    """Two pages of two programs, which know one rendezvous server."""
    portrait, other = tmp_path / "portrait.mjpeg", tmp_path / "other.mjpeg"
    write_clip(portrait, (frame.picture for frame in builtin_source(3.0)))
    if REAL:
        with VideoReader(REAL[0]) as reader:
            write_clip(other, (frame.picture for frame in reader))
    else:
        other = portrait
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        server = await enter(program("signal", "--port", "0", says=r"listening at (\S+)"))
        options = ("call", "--web", "--web-port", "0", "--signaling", server)
        addresses = [await enter(program(*options, says=r"open (\S+)")) for _ in range(2)]
        playwright = await enter(async_playwright())
        here, there = [
            await enter(browsing(playwright, clip, address))
            for clip, address in zip((portrait, other), addresses, strict=True)
        ]
        for tab in (here, there):
            await tab.until(READY)
        yield here, there


async def meet(here: Tab, there: Tab) -> None:
    """Open a room here, join it there, and compare the words."""
    await here.page.click("#call")
    await here.until("texts('code')")
    await there.page.fill("#room", await here.text("code"))
    await there.page.press("#room", "Enter")
    for tab in (here, there):
        await tab.until("texts('words')")
        await tab.until(CALLING)
    assert await here.text("words") == await there.text("words")
    assert len((await here.text("words")).split()) == 3


async def test_two_pages_call_each_other(tabs: tuple[Tab, Tab], tmp_path: Path) -> None:
    here, there = tabs
    shots = folder(tmp_path)
    assert "#" not in await here.ask("location.href")  # the token is gone from the address
    await here.page.screenshot(path=shots / "idle.png", full_page=True)
    await meet(here, there)
    for tab in tabs:
        await tab.different_pictures(5)
    await here.until("document.querySelectorAll('#sent-graph polyline').length >= 2")
    await here.page.screenshot(path=shots / "talking.png", full_page=True)
    await there.page.screenshot(path=shots / "talking-other.png", full_page=True)

    # By keyboard alone: mute, and a worse link.
    await here.page.focus("#mute")
    await here.page.keyboard.press("Space")
    await here.until("document.getElementById('mute').getAttribute('aria-pressed') === 'true'")
    assert await here.page.is_visible("#muted")
    await here.page.focus("#loss")
    for _ in range(4):
        await here.page.keyboard.press("ArrowRight")
    await here.until("texts('loss-value') === '20 %'")
    await there.different_pictures(3)
    await here.page.keyboard.press("Home")
    await here.until("texts('loss-value') === '0 %'")

    # What one side sends is said on both.
    await here.page.click("#video")
    await there.until("texts('mode') === 'Ordinary video'")
    await here.until("texts('sends').startsWith('You send ordinary video')")
    assert await there.ask("document.getElementById('synthesised').hidden")
    await there.different_pictures(3)
    await there.page.screenshot(path=shots / "ordinary-video.png", full_page=True)
    await here.page.click("#video")
    await there.until(CALLING)

    await look_narrow_and_dark(here, shots)

    # A page that is loaded again is in the same call.
    await here.page.reload()
    await here.until(READY)
    await here.until(CALLING)
    assert await here.text("words") == await there.text("words")
    await here.different_pictures(3)

    await here.page.click("#leave")
    await there.until("texts('mode') === 'No call'")
    await there.until("texts('told').startsWith('the other side left')")
    assert [tab.complaints for tab in tabs] == [[], []]


async def look_narrow_and_dark(tab: Tab, shots: Path) -> None:
    """Nothing is wider than a small telephone, and dark is dark."""
    light = await tab.ask("getComputedStyle(document.body).backgroundColor")
    await tab.page.emulate_media(color_scheme="dark")
    assert await tab.ask("getComputedStyle(document.body).backgroundColor") != light
    await tab.page.click("#beside")
    await tab.page.screenshot(path=shots / "dark-beside.png", full_page=True)
    await tab.page.set_viewport_size({"width": 360, "height": 740})
    assert await tab.ask("document.documentElement.scrollWidth") <= 360
    await tab.page.screenshot(path=shots / "dark-narrow-beside.png", full_page=True)
    await tab.page.click("#beside")
    await tab.page.emulate_media(color_scheme="light")
    await tab.page.screenshot(path=shots / "narrow.png", full_page=True)
    await tab.page.set_viewport_size({"width": 1100, "height": 900})


async def test_everything_is_reached_by_keyboard_and_has_a_name(tabs: tuple[Tab, Tab]) -> None:
    tab = tabs[0]
    nameless = await tab.ask(
        """() => [...document.querySelectorAll("button, select, input, textarea, video, svg")]
          .filter((each) => !each.labels?.length && !each.textContent.trim()
            && !each.getAttribute("aria-label"))
          .map((each) => each.id)"""
    )
    assert nameless == []
    reached = []
    for _ in range(18):
        await tab.page.keyboard.press("Tab")
        reached.append(
            await tab.ask("document.activeElement.id || document.activeElement.className")
        )
    order = ["skip", "mute", "mirror", "beside", "mark", "video", "way", "place", "room", "call"]
    assert reached[: len(order)] == order
    assert reached[len(order) :][:4] == ["camera", "microphone", "speaker", "loss"]
    for name in ("mode", "told"):
        assert await tab.ask(f"document.getElementById('{name}').ariaLive") == "polite"
