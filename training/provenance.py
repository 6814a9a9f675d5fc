# SPDX-License-Identifier: Apache-2.0
"""What weights were made from, as their run told it: whether they may ship, and how that is said.

The best weights carry it themselves; of runs from before that, ``run.json`` tells.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from talkcodec import weights
from talkcodec.errors import InputError
from training.corpus import PERMISSIVE

#: By part, "train" and "validate": frames, clips, maybe people, and licences.
Data = dict[str, dict[str, Any]]

#: An entry that every manifest of the package's weights has, in whichever checkout.
_PACKAGE_ENTRY = "motion.safetensors"


def data_of(run: Path, told: str | None) -> Data:
    """Return what ``run`` was trained and validated on.

    ``told``: what the best weights say, as JSON; without it ``run.json`` is asked.

    Raises:
        InputError: neither tells.
    """
    path = run / "run.json"
    try:
        if told is None:
            data = json.loads(path.read_text(encoding="utf-8"))["data"]
        else:
            path, data = run, json.loads(told)
        return {part: _checked(data[part]) for part in ("train", "validate")}
    except KeyError as error:
        raise InputError(f"expected what was trained on in {path}, found no {error}") from None
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"expected what was trained on in {path}, found {error}") from None


def _checked(part: Mapping[str, Any]) -> dict[str, Any]:
    counts = {key: int(part[key]) for key in ("frames", "clips")}
    if "people" in part:
        counts["people"] = int(part["people"])
    licences = part["licences"]
    if not isinstance(licences, list) or not all(isinstance(name, str) for name in licences):
        raise TypeError(f"licences {licences!r}")
    return {**counts, "licences": licences}


def licence_of(data: Data, out: Path, *, any_licence: bool) -> str:
    """Return the licence of weights that were chosen by ``data``, as the manifest tells it.

    Raises:
        InputError: they may not be passed on, and ``any_licence`` was not asked for, or ``out`` is
            a folder of what is.
    """
    used = {name for part in data.values() for name in part["licences"] or ["none"]}
    found = ", ".join(sorted(used - PERMISSIVE))
    if not found:
        return "Apache-2.0"
    if not any_licence:
        raise InputError(f"expected data under {', '.join(sorted(PERMISSIVE))}, found {found}")
    if out.resolve() == weights.FOLDER.resolve() or _ships(out):
        raise InputError(f"expected another folder than {out} for data under {found}")
    return f"not to be passed on: from data under {found}"


def _ships(out: Path) -> bool:
    """Whether ``out`` holds the weights of a package, of this checkout or another."""
    try:
        return _PACKAGE_ENTRY in json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False  # nothing is written beside a manifest that cannot be read


def told(data: Data) -> str:
    """Return the sentence of the manifest about ``data``."""
    used, chose = (_part(data[name]) for name in ("train", "validate"))
    return f"{used}; chosen by {chose}"


def _part(part: Mapping[str, Any]) -> str:
    people = f" of {part['people']} people" if "people" in part else ""
    names = part["licences"]
    # A clip's licence is that of the repository that carried the file. Of what may not ship we
    # only know what its list says.
    public = bool(names) and set(names) <= PERMISSIVE
    where = "from talking-head videos in public repositories" if public else "listed as"
    return (
        f"{part['frames']} frames of {part['clips']} clips{people} {where} under {_listed(names)}"
    )


def _listed(names: list[str]) -> str:
    *most, last = names or ["no licence"]
    return f"{', '.join(most)} or {last}" if most else last
