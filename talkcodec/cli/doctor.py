# SPDX-License-Identifier: Apache-2.0
"""``talkcodec doctor``: is everything here that talkcodec needs, and what else is missing."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass

import typer

from talkcodec.cli.output import Json, print_json
from talkcodec.errors import TalkcodecError

#: Extras that nobody needs who only uses talkcodec.
_NOT_FOR_USERS = ("dev",)
_CODECS = ("libsvtav1", "libdav1d", "libx264")
#: Further codecs that ``compare`` measures.
_RIVALS = ("libx265", "libvpx-vp9")


@dataclass(frozen=True)
class Check:
    """One finding. ``required``: talkcodec cannot do its main job without it."""

    name: str
    ok: bool
    required: bool
    found: str


def doctor(as_json: Json = False) -> None:
    """Check the installation: packages, codecs, weights, tracker, camera, what compare measures by.

    The exit status is 1 if something required is missing.
    """
    checks = examine()
    good = all(check.ok or not check.required for check in checks)
    if as_json:
        print_json({"ok": good, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            mark = "ok" if check.ok else "MISSING" if check.required else "absent"
            typer.echo(f"{mark:8}{check.name}: {check.found}")
    if not good:
        raise typer.Exit(1)


def examine() -> list[Check]:
    """Return all findings, the required ones first."""
    python = platform.python_version()
    found = [Check("python", sys.version_info >= (3, 11), required=True, found=python)]
    packages = declared()
    found += [_package(name, extras) for name, extras in packages.items() if not extras]
    found.append(_opencv())
    found.append(_try("video codecs", _codecs))
    found.append(_try("weights", _weights))
    found.append(_try("face tracker", _tracker))
    found.append(_camera())
    found.append(_try("compare: codecs", lambda: _codecs(_RIVALS), required=False))
    found.append(_try("compare: VMAF", _vmaf, required=False))
    found.append(_try("compare: identity weights", _identity, required=False))
    found += [_package(name, extras) for name, extras in packages.items() if extras]
    return found


def declared() -> dict[str, list[str]]:
    """Return the packages that talkcodec declares, and of which extras each is; none: required.

    Empty where talkcodec runs from its sources and is not installed: nobody declares anything.
    """
    try:
        lines = importlib.metadata.requires("talkcodec") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    found: dict[str, list[str]] = {}
    for line in lines:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        extra = re.search(r"extra == ['\"]([^'\"]+)", line)
        if name == "talkcodec" or (extra and extra[1] in _NOT_FOR_USERS):
            continue
        extras = found.setdefault(name, [])
        if extra:
            extras.append(extra[1])
    return found


def _package(name: str, extras: list[str]) -> Check:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        wanted = ", ".join(f"talkcodec[{extra}]" for extra in extras)
        found = f"not installed ({wanted})" if extras else "not installed"
        return Check(name, ok=False, required=not extras, found=found)
    return Check(name, ok=True, required=not extras, found=version)


def _opencv() -> Check:
    """Two OpenCV packages overwrite each other's files."""
    names = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    found = sorted(name for name in names if name.startswith("opencv-"))
    return Check("one OpenCV", found == ["opencv-python"], required=True, found=", ".join(found))


def _try(name: str, examine_one: Callable[[], str], *, required: bool = True) -> Check:
    try:
        return Check(name, ok=True, required=required, found=examine_one())
    except (TalkcodecError, ImportError) as error:
        return Check(name, ok=False, required=required, found=str(error))


def _codecs(names: tuple[str, ...] = _CODECS) -> str:
    import av

    missing = [name for name in names if name not in av.codecs_available]
    if missing:
        raise ImportError(f"expected {', '.join(names)} in PyAV, found no {', '.join(missing)}")
    return ", ".join(names)


def _vmaf() -> str:
    from talkcodec.metrics.vmaf import find_ffmpeg

    return find_ffmpeg()


def _identity() -> str:
    from talkcodec.metrics.weights import identity_files, identity_folder

    return ", ".join(map(str, identity_files(identity_folder())))


def _weights() -> str:
    from talkcodec import weights

    names = [name for name in weights.manifest() if weights.path(name)]
    return f"{', '.join(names)}; tables {weights.tables().hash.hex()}"


def _tracker() -> str:
    from talkcodec.face import DEFAULT_TRACKER, open_tracker
    from talkcodec.media.sources import portrait_picture
    from talkcodec.render.engine import choose

    with open_tracker() as tracker:
        if tracker.track(portrait_picture(), 0.0) is None:
            raise ImportError("expected a face in the built-in portrait, found none")
    return f"{DEFAULT_TRACKER}, run by {choose()}"


def _camera() -> Check:
    from talkcodec.media.camera import has_camera

    there = has_camera()
    return Check("camera 0", there, required=False, found="opens" if there else "none")
