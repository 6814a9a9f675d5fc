# SPDX-License-Identifier: Apache-2.0
"""Session descriptions before aiortc sees them: real ones, hostile ones, and any."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from talkcodec.errors import SignalingError, TalkcodecError
from talkcodec.rtc.guard import MAX_CANDIDATES, MAX_CHARACTERS, MAX_LINES, screen
from talkcodec.rtc.peer import Peer

PRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
OTHER = "a=fingerprint:sha-256 " + ":".join(["CD"] * 32)
DATA = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel"
SOUND = "m=audio 9 UDP/TLS/RTP/SAVPF 96 9"
VIDEO = "m=video 9 UDP/TLS/RTP/SAVPF 97"
HOST = "a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"


KEYS = ("a=ice-ufrag:abcd", f"a=ice-pwd:{'p' * 22}", "a=setup:actpass")


def sdp(*lines: str) -> str:
    """Return a description with ``lines``, all sections bundled, and what else each one needs."""
    mids = [str(number) for number, line in enumerate(lines) if line.startswith("m=")]
    out = ["v=0", *KEYS, f"a=group:BUNDLE {' '.join(mids)}"]
    for number, line in enumerate(lines):
        out += [line, f"a=mid:{number}"] if line.startswith("m=") else [line]
    return "\r\n".join(out) + "\r\n"


@pytest.fixture(scope="module")
def descriptions() -> list[str]:
    """A real offer and its answer."""

    async def make() -> list[str]:
        one, two = Peer(lambda _c, _d: None), Peer(lambda _c, _d: None)
        offer = await one.offer()
        answer = await two.answer(offer)
        await one.close()
        await two.close()
        return [offer, answer]

    return asyncio.run(make())


def test_real_descriptions_pass_unchanged(descriptions: list[str]) -> None:
    for description in descriptions:
        assert screen(description) == description


def test_what_browsers_say_passes() -> None:
    text = sdp(
        "a=extmap-allow-mixed", "m=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8 13 110 126", PRINT,
        "a=candidate:1 1 udp 2113937151 0b3c.local 5000 typ host generation 0 network-cost 999",
        "a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0",
        "a=candidate:3 1 udp 1677729535 192.0.2.9 5000 typ srflx raddr 0.0.0.0 rport 0",
        DATA, PRINT,
    )  # fmt: skip
    kept = screen(text)
    assert [line for line in kept.splitlines() if "candidate" in line] == [
        "a=candidate:3 1 udp 1677729535 192.0.2.9 5000 typ srflx raddr 0.0.0.0 rport 0"
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "begins with v=0"),
        ("x" * (MAX_CHARACTERS + 1), f"at most {MAX_CHARACTERS} characters"),
        (sdp(DATA, "a=é"), "ASCII"),
        (sdp(DATA, PRINT, "a=\x1b[2J"), "lines like a=value"),
        (sdp(DATA, PRINT, *["a=x"] * MAX_LINES), "lines of"),
        (sdp(DATA, PRINT, "a=" + "x" * 1001), "lines of"),
        (sdp(PRINT), "data channels and at most one track"),
        (sdp(DATA, PRINT, DATA, PRINT), "data channels and at most one track"),
        (sdp(DATA, PRINT, VIDEO, PRINT, VIDEO, PRINT), "at most one track"),
        (sdp(DATA, PRINT, "m=image 9 UDP/TLS t38"), "media of a call"),
        (sdp(DATA, PRINT, "m=audio 9 RTP/AVP 0"), "media of a call"),
        (sdp(DATA, PRINT, "m=audio 9 UDP/TLS/RTP/SAVPF" + " 96" * 65), "media of a call"),
        (sdp("m=application 9 TCP/DTLS/SCTP webrtc-datachannel", PRINT), "media of a call"),
        (sdp(DATA), "fingerprint of one certificate"),
        (sdp(DATA, PRINT, SOUND, OTHER), "fingerprint of one certificate"),
        (sdp(PRINT, DATA, OTHER), "fingerprint of one certificate"),
        (sdp(DATA, PRINT, OTHER), "a fingerprint by"),
        (sdp(DATA, "a=fingerprint:sha-1 " + ":".join(["AB"] * 20)), "a fingerprint by"),
        (sdp(DATA, "a=fingerprint:sha-256 AB:CD"), "a fingerprint by"),
        (sdp(DATA, "a=fingerprint:sha-256"), "a fingerprint by"),
        (sdp(DATA, *[PRINT] * 4), "at most 3 fingerprints"),
        (sdp(DATA, PRINT, *[HOST + f" n {n}" for n in range(MAX_CANDIDATES + 1)]), "candidates"),
        (sdp(DATA, PRINT, *[f"a=ssrc:{n} cname:x" for n in range(40)]), "lines of ssrc"),
        (sdp(DATA, PRINT).replace("a=setup:actpass", "a=setup:holdconn"), "one setup in each"),
        (sdp(DATA, PRINT, "a=setup:active", "a=setup:passive"), "one setup in each section"),
        (sdp(DATA, PRINT).replace("a=ice-ufrag:abcd", "a=b"), "one ice-ufrag in each section"),
        (sdp(DATA, PRINT).replace("a=mid", "a=mud"), "one mid in each section"),
        (sdp(DATA, PRINT, SOUND).replace("a=mid:2", "a=mid:0"), "all sections in one bundle"),
        (sdp(DATA, PRINT).replace("BUNDLE", "LS"), "all sections in one bundle"),
        (sdp(DATA, PRINT).replace("BUNDLE 0", "BUNDLE 0 1"), "all sections in one bundle"),
        (sdp(DATA, PRINT, *[f"a=rtpmap:{n} x/1" for n in range(90)]), "lines of rtpmap"),
    ],
)
def test_what_no_call_says_is_refused_in_one_line(text: str, found: str) -> None:
    with pytest.raises(SignalingError, match=re.escape(found)) as caught:
        screen(text)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 udp 1 example.org 5000 typ host",
        "1 1 udp 1 printer.local 5000 typ host",
        "1 1 udp 1 224.0.0.251 5353 typ host",
        "1 1 udp 1 0.0.0.0 5000 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 4294967296 192.0.2.1 5000 typ host",
        "1 1 tcp 1 192.0.2.1 5000 typ host tcptype passive",
        "1 1 udp 1 fe80::1%eth0 5000 typ host",
        "1 1 udp 1 192.0.2.1 5000 typ strange",
        "",
    ],
)
def test_candidates_that_are_no_addresses_are_left_out(candidate: str) -> None:
    assert screen(sdp(DATA, PRINT, f"a=candidate:{candidate}", HOST)) == sdp(DATA, PRINT, HOST)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=400))
def test_any_text_is_refused_or_comes_out_smaller(text: str) -> None:
    for full in (text, "v=0\r\n" + text, sdp(DATA, PRINT) + text):
        try:
            assert len(screen(full)) <= len(full) + 2 * MAX_LINES
        except SignalingError:
            continue


def test_any_change_of_a_description_makes_an_answer_or_an_error(descriptions: list[str]) -> None:
    """What gets past the guard must not surprise aiortc either."""

    async def take(text: str) -> bool:
        peer = Peer(lambda _c, _d: None)
        try:
            await peer.answer(screen(text))
        except TalkcodecError:
            return False
        else:
            return True
        finally:
            await peer.close()

    async def run() -> list[bool]:
        rng = random.Random(1)
        return [await take(changed(descriptions[rng.randrange(2)], rng)) for _ in range(120)]

    taken = asyncio.run(run())
    assert 5 < sum(taken) < 115


def changed(text: str, rng: random.Random) -> str:
    """Return ``text`` with a line or two dropped, doubled, moved or bent."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(1, len(lines))
        what = rng.randrange(6)
        if what == 0:
            del lines[place]
        elif what == 1:
            lines.insert(rng.randrange(1, len(lines)), lines[place])
        elif what == 2:
            lines.insert(rng.randrange(1, len(lines)), lines.pop(place))
        elif what == 3:
            lines[place] = lines[place].split(":")[0]
        elif what == 4:
            lines[place] = re.sub(r"\d+", str(rng.choice((0, 1, 99, 70_000, 2**40))), lines[place])
        else:
            at = rng.randrange(2, len(lines[place]) + 1)
            lines[place] = (
                lines[place][:at] + rng.choice((" ", ":", "0", "x", "=")) + lines[place][at:]
            )
    return "\r\n".join(lines) + "\r\n"
