# SPDX-License-Identifier: Apache-2.0
"""Run a command and tell whom it tried to reach: ``python network_watch.py REPORT COMMAND...``.

The kernel stops every system call of the command, its threads and its children that could reach
somebody, and asks this program (seccomp user notification, Linux 5.5 and later; no privileges, no
packages). So Python, C, Rust and assembly are seen alike. Calls to this machine's own addresses go
on; all others are written down and refused, so that nothing leaves, whatever was tried.

``REPORT`` is JSON: ``reached``: every address as ``"call family address port"``, those refused
in ``refused`` too. The exit status is the command's; 77: this system cannot watch.
"""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import platform
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

CANNOT = 77

#: Per machine: AUDIT_ARCH, then the numbers of seccomp and of the calls that are watched.
_MACHINES = {
    "x86_64": (0xC000003E, 317, {42: "connect", 44: "sendto", 46: "sendmsg", 307: "sendmmsg"}),
    "aarch64": (0xC00000B7, 277, {203: "connect", 206: "sendto", 211: "sendmsg", 269: "sendmmsg"}),
}
_IO_URING_SETUP = 425  # could send without any of the calls above
_ALLOW, _NOTIFY, _KILL = 0x7FFF0000, 0x7FC00000, 0x80000000
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # ioctls of the listener
_NO_NEW_PRIVS, _SET_MODE_FILTER, _NEW_LISTENER = 38, 1, 8
_CONTINUE = 1
_UNREACHABLE = 101
_PATIENCE = 10.0  # seconds that children may live on
#: Ports of name services: asking who somebody is, is reaching out even on this machine.
_NAME_PORTS = {53, 853, 5353, 5355}

_libc = ctypes.CDLL(None, use_errno=True)


class CannotWatch(Exception):
    """This kernel or machine has not what it takes."""


class Listener:
    """The kernel's questions about one thread and everything it starts."""

    def __init__(self) -> None:
        arch, number, self.calls = _MACHINES[platform.machine()]
        self.calls = {**self.calls, _IO_URING_SETUP: "io_uring_setup"}
        watched = sorted(self.calls)
        # Another architecture's numbers, 32-bit ones among them, would not be understood.
        code = [(0x20, 0, 0, 4), (0x15, 1, 0, arch), (0x06, 0, 0, _KILL), (0x20, 0, 0, 0)]
        code += [(0x35, 0, 1, 0x40000000), (0x06, 0, 0, _KILL)]
        for left, call in enumerate(watched):
            code.append((0x15, len(watched) - left, 0, call))
        code += [(0x06, 0, 0, _ALLOW), (0x06, 0, 0, _NOTIFY)]
        program = b"".join(struct.pack("<HBBI", *line) for line in code)
        memory = ctypes.create_string_buffer(program)
        header = struct.pack("@HxxxxxxP", len(code), ctypes.addressof(memory))
        _libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        self.file = _libc.syscall(number, _SET_MODE_FILTER, _NEW_LISTENER, header)
        if self.file < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def answer(self, reached: list[str], refused: list[str]) -> None:
        """Take one question, write down what it is about, and answer it."""
        question = ctypes.create_string_buffer(80)
        if _libc.ioctl(self.file, ctypes.c_ulong(_RECEIVE), question) < 0:
            return  # who asked is gone
        key, task, _, number, _, _, *given = struct.unpack("<QIIiIQ6Q", question.raw)
        call = self.calls[number]
        try:
            addresses = list(_addresses(task, call, given))
        except (OSError, ValueError, struct.error) as error:
            addresses = [(f"unreadable: {error}", False)]
        told = [f"{call} {text}" for text, _ in addresses]
        reached += told
        bad = [text for text, (_, own) in zip(told, addresses, strict=True) if not own]
        refused += bad
        reply = struct.pack("<QqiI", key, 0, *((-_UNREACHABLE, 0) if bad else (0, _CONTINUE)))
        _libc.ioctl(self.file, ctypes.c_ulong(_SEND), ctypes.create_string_buffer(reply, 24))


def _addresses(task: int, call: str, given: list[int]) -> list[tuple[str, bool]]:
    """Return whom a call names, and whether each is this machine."""
    if call == "io_uring_setup":
        return [("a ring", False)]
    with Path(f"/proc/{task}/mem").open("rb", buffering=0) as memory:

        def read(at: int, size: int) -> bytes:
            memory.seek(at)
            return memory.read(size)

        if call in {"connect", "sendto"}:
            named = [(given[1], given[2]) if call == "connect" else (given[4], given[5])]
        else:
            count = 1 if call == "sendmsg" else min(given[2], 1024)
            size = 56 if call == "sendmsg" else 64
            heads = [read(given[1] + i * size, 12) for i in range(count)]
            named = [struct.unpack("<QI", head) for head in heads]
        return [_address(read(at, min(size, 128))) for at, size in named if at and size]


def _address(data: bytes) -> tuple[str, bool]:
    (family,) = struct.unpack_from("<H", data)
    if family == socket.AF_INET:
        (port,) = struct.unpack_from(">H", data, 2)
        address = str(ipaddress.IPv4Address(data[4:8]))
    elif family == socket.AF_INET6:
        (port,) = struct.unpack_from(">H", data, 2)
        six = ipaddress.IPv6Address(data[8:24])
        address = str(six.ipv4_mapped or six)
    elif family == socket.AF_UNIX:
        # Name services, message buses, and whatever else works on somebody's behalf.
        return (
            f"unix {data[2:].lstrip(bytes(1)).split(bytes(1))[0].decode(errors='replace')}",
            False,
        )
    elif family == socket.AF_NETLINK:
        return "netlink", True  # the kernel itself: which addresses this machine has
    elif family == socket.AF_UNSPEC:
        return "unspecified", True  # undoes an earlier connect
    else:
        return f"family {family}", False
    return f"inet {address} {port}", port not in _NAME_PORTS and _is_ours(address)


def _is_ours(address: str) -> bool:
    """Whether ``address`` is one of this machine's: those can be bound to.

    So can broadcast addresses, but a socket that nobody allowed that cannot be connected to them.
    Connecting a datagram socket sends nothing.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if ipaddress.ip_address(address).is_multicast:
        return False
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
            probe.connect((address, 9))
        except OSError:
            return False
    return True


def watch(command: list[str]) -> tuple[int, list[str], list[str]]:
    """Run ``command``; return its exit status, all it reached, and what of that was refused."""
    started: list[tuple[Listener, subprocess.Popen[bytes]] | Exception] = []

    def start() -> None:
        # A filter holds for the thread that sets it and for what that thread starts.
        try:
            listener = Listener()
        except (OSError, KeyError, AttributeError) as error:
            started.append(CannotWatch(f"cannot watch: {error!r}"))
            return
        try:
            started.append((listener, subprocess.Popen(command)))
        except OSError as error:
            started.append(error)

    starter = threading.Thread(target=start)
    starter.start()
    starter.join()
    if isinstance(started[0], Exception):
        raise started[0]
    listener, process = started[0]
    reached: list[str] = []
    refused: list[str] = []
    ready = select.poll()
    ready.register(listener.file, select.POLLIN)
    ended: float | None = None
    while True:
        events = sum(mask for _, mask in ready.poll(100))
        if events & select.POLLIN:
            listener.answer(reached, refused)
        elif events & select.POLLHUP:  # the command and all that it started are gone
            return process.wait(), reached, refused
        elif process.poll() is not None:
            ended = ended or time.monotonic()
            if time.monotonic() - ended > _PATIENCE:
                return (
                    process.returncode,
                    reached,
                    [*refused, "a process that outlives the command"],
                )


def main() -> int:
    report, *command = sys.argv[1:]
    try:
        status, reached, refused = watch(command)
    except CannotWatch as error:
        sys.stderr.write(f"{error}\n")
        return CANNOT
    Path(report).write_text(json.dumps({"reached": reached, "refused": refused}))
    return status


if __name__ == "__main__":
    raise SystemExit(main())
