# SPDX-License-Identifier: Apache-2.0
"""Ways of meeting by name, STUN and TURN by URL, and TLS."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from talkcodec.errors import InputError, SignalingError
from talkcodec.rtc.ice import IceServer
from talkcodec.rtc.signaling.choose import MeetingPlace, ice_servers, open_signaling
from talkcodec.rtc.signaling.listening import is_loopback, server_tls
from talkcodec.rtc.signaling.protocol import Ready
from talkcodec.rtc.signaling.room import RoomConfig, RoomSignaling
from talkcodec.rtc.signaling.server import RendezvousServer


def test_nobody_is_asked_unless_named() -> None:
    assert ice_servers([], None, None, None) == ()


def test_servers_are_read_from_their_urls() -> None:
    found = ice_servers(
        ["stun:stun.example.org:3478"],
        "turn:192.0.2.1:3478?transport=tcp",
        "me",
        "secret",
    )
    assert found == (
        IceServer("stun:stun.example.org:3478"),
        IceServer("turn:192.0.2.1:3478?transport=tcp", "me", "secret"),
    )
    assert ice_servers([], "turns:turn.example.org", "me", "secret") == (
        IceServer("turns:turn.example.org", "me", "secret"),
    )


@pytest.mark.parametrize(
    ("stun", "turn", "user", "password", "message"),
    [
        (["example.org"], None, None, None, "expected stun:HOST"),
        (["stun:a b"], None, None, None, "expected stun:HOST"),
        (["stun:a:65536"], None, None, None, "expected stun:HOST"),
        # aiortc would ask none of these, or fail, and say nothing.
        (["stuns:192.0.2.1"], None, None, None, "expected stun:HOST"),
        (["stun:[2001:db8::1]"], None, None, None, "expected stun:HOST"),
        (["stun:a", "stun:b"], None, None, None, "expected one --stun, found 2"),
        ([], "turn:[2001:db8::1]", "me", "secret", "by name or IPv4 address, found turn:"),
        ([], "turns:x?transport=udp", "me", "secret", "or turns:HOST"),
        ([], "turn:x?transport=sctp", "me", "secret", "expected turn:HOST"),
        ([], "turn:x", None, "secret", "expected --turn-user"),
        ([], "turn:x", "me", None, "expected --turn-user"),
        ([], None, "me", None, "expected --turn with"),
    ],
)
def test_wrong_servers_are_refused(
    stun: list[str], turn: str | None, user: str | None, password: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ice_servers(stun, turn, user, password)


@pytest.mark.parametrize("text", ["", "ftp://x", "listen:", "listen:x", "listen:[::1:80", "wss:/x"])
async def test_other_ways_of_meeting_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected paste, ws://"):
        await open_signaling(MeetingPlace(text), tell=lambda _t: None, show=lambda _t: None)


async def test_an_address_of_its_own_may_be_listened_at() -> None:
    told: list[str] = []
    signaling = await open_signaling(
        MeetingPlace("listen:127.0.0.1:0"), tell=told.append, show=told.append
    )
    assert told[0].startswith("waiting for a POST at http://127.0.0.1:")
    await signaling.close()


@pytest.mark.parametrize(("token", "named"), [(None, False), ("secret", True)])
@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])  # noqa: S104
async def test_whoever_listens_to_a_network_without_tls_is_told(
    host: str, token: str | None, *, warned: bool, named: bool
) -> None:
    told: list[str] = []
    place = MeetingPlace(f"listen:{host}:0", token=token)
    signaling = await open_signaling(place, tell=told.append, show=told.append)
    await signaling.close()
    warnings = [line for line in told if "without TLS" in line]
    assert len(warnings) == warned
    assert ("the token" in "".join(warnings)) == (named and warned)
    assert not any("secret" in line for line in told)


@pytest.mark.parametrize(
    ("host", "near"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("example.org", False)],  # noqa: S104
)  # fmt: skip
def test_loopback_is_told_from_networks(host: str, *, near: bool) -> None:
    assert is_loopback(host) == near


def certificate(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "here")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    pem = serialization.Encoding.PEM
    paths[0].write_bytes(made.public_bytes(pem))
    paths[1].write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_tls_is_spoken_and_strangers_certificates_are_not_trusted(tmp_path: Path) -> None:
    public, private = certificate(tmp_path)
    server = await RendezvousServer.open("127.0.0.1", 0, tls=server_tls(public, private))
    url = f"wss://127.0.0.1:{server.listening.port}"
    one = await RoomSignaling.open(RoomConfig(url, authority=public))
    two = await RoomSignaling.open(RoomConfig(url, one.room, authority=public))
    assert await two.receive() == Ready()
    with pytest.raises(SignalingError, match="expected a rendezvous server"):
        await RoomSignaling.open(RoomConfig(url, patience=2.0))
    await one.close()
    await two.close()
    await server.close()
    with pytest.raises(InputError, match="expected certificates in PEM to trust"):
        RoomSignaling(RoomConfig(url, authority=private), None, None)  # type: ignore[arg-type]
