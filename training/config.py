# SPDX-License-Identifier: Apache-2.0
"""Training configurations: TOML files read into frozen dataclasses, strictly.

A file has three tables: ``[run]``, ``[optimiser]`` and ``[task]``. An unknown key, a value of
another type or one out of range is an ``InputError`` of one line. Nothing here imports torch.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

from talkcodec.errors import InputError

_T = TypeVar("_T")

#: The configurations that ship.
CONFIGS = Path(__file__).parent / "configs"


@dataclass(frozen=True, slots=True)
class RunConfig:
    """``[run]``: how long, how often, where.

    ``out``: folder of the run. ``batch``: samples of a step over all devices. ``precision``:
    "auto" is bf16-mixed where the device computes in it, else 32-true. ``threads``: of torch on
    the CPU. ``workers``: processes that prepare batches, 0 for none. ``*_every``: steps, 0 for
    never. ``save_minutes``: also save when the last save is so old, 0 for never.
    """

    out: str
    steps: int
    batch: int
    seed: int = 0
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = 1
    workers: int = 0
    log_every: int = 50
    validate_every: int = 1000
    pictures_every: int = 1000
    save_every: int = 1000
    save_minutes: float = 10.0

    def __post_init__(self) -> None:
        _at_least(self, 1, "steps", "batch", "threads", "log_every")
        _at_least(self, 0, "seed", "workers", "validate_every", "pictures_every", "save_every")
        _at_least(self, 0, "save_minutes")
        if not self.out:
            raise InputError("expected a folder in run.out, found ''")


@dataclass(frozen=True, slots=True)
class OptimiserConfig:
    """``[optimiser]``: AdamW for every turn.

    ``lr``: the highest learning rate. ``warmup``: steps of linear rise. ``decay``: what follows;
    "cosine" ends at ``lr * lr_end`` with the last step. ``weight_decay`` applies to matrices and
    kernels only. ``clip``: greatest norm of a gradient, 0 for no limit. ``ema``: decay of the
    averaged weights.
    """

    lr: float = 1e-3
    warmup: int = 500
    decay: Literal["cosine", "constant"] = "cosine"
    lr_end: float = 0.01
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 1.0
    ema: float = 0.999

    def __post_init__(self) -> None:
        _at_least(self, 0, "lr", "warmup", "lr_end", "weight_decay", "clip", "ema")
        if not self.ema < 1 or not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"expected ema and betas below 1, found {self.ema} and {self.betas}")

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of step ``step`` (from 0) of ``steps``."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.decay == "constant":
            return self.lr
        done = (step - self.warmup) / max(steps - self.warmup, 1)
        wave = (1 + math.cos(math.pi * min(done, 1.0))) / 2
        return self.lr * (self.lr_end + (1 - self.lr_end) * wave)


@dataclass(frozen=True, slots=True)
class Config:
    """A whole configuration. ``task``: the table ``[task]``; its ``name`` says which task's own
    dataclass reads the rest (training/task.py).
    """

    run: RunConfig
    task: dict[str, Any]
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)


def load_config(path: Path, overrides: Iterable[str] = ()) -> Config:
    """Read ``path``, then apply ``overrides`` such as ``"run.steps=10"`` (values as in TOML;
    what is no TOML value is a string).

    Raises:
        InputError: not a TOML file, or not a configuration.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"expected a TOML file, found {path}: {error}") from None
    for override in overrides:
        _override(tables, override)
    return parse(Config, tables, "")


def parse(cls: type[_T], fields: Mapping[str, Any], where: str) -> _T:
    """Build the dataclass ``cls`` from ``fields``; ``where`` names the table in errors.

    Raises:
        InputError: a key that is unknown, missing, or of another type than annotated.
    """
    prefix = f"{where}." if where else ""
    known = {item.name: item for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in fields:
        if key not in known:
            raise InputError(f"expected a key of {prefix}{{{', '.join(known)}}}, found {key!r}")
    for name, item in known.items():
        optional = (item.default, item.default_factory) != (dataclasses.MISSING,) * 2
        if name not in fields and not optional:
            raise InputError(f"expected {prefix}{name}, found none")
    hints = typing.get_type_hints(cls)
    return cls(**{key: _value(hints[key], fields[key], prefix + key) for key in fields})


def _value(kind: Any, value: Any, where: str) -> Any:
    """Return ``value`` as ``kind``, converting only what loses nothing."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in {Union, types.UnionType}:  # X | None: TOML has no null
        return _value(next(item for item in inner if item is not type(None)), value, where)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and isinstance(value, Mapping):
        return parse(kind, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        many = len(inner) == 2 and inner[1] is Ellipsis
        if many or len(inner) == len(value):
            kinds = inner[:1] * len(value) if many else inner
            return tuple(_value(k, v, where) for k, v in zip(kinds, value, strict=True))
    elif kind is float and type(value) in {int, float} and math.isfinite(value):
        return float(value)
    elif kind is Path and type(value) is str:
        return Path(value)
    elif _fits(kind, value):
        return value
    name = kind.__name__ if isinstance(kind, type) and origin is None else str(kind)
    raise InputError(f"expected {where} of {name.replace('typing.', '')}, found {value!r}")


def _fits(kind: Any, value: Any) -> bool:
    """Whether ``value`` is a ``kind`` as it stands; True is no integer here."""
    origin = typing.get_origin(kind)
    if origin is Literal:
        return any(value == item and type(value) is type(item) for item in typing.get_args(kind))
    return type(value) is kind if kind in {bool, int, str} else type(value) is origin is dict


def _override(tables: dict[str, Any], override: str) -> None:
    path, found, text = override.partition("=")
    *parents, key = path.strip().split(".")
    if not found or not parents or not key:
        raise InputError(f"expected an override such as run.steps=10, found {override!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    for name in parents:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise InputError(f"expected a table at {name!r} in {override!r}, found a value")
    tables[key] = value


def _at_least(config: Any, least: float, *names: str) -> None:
    for name in names:
        if getattr(config, name) < least:
            table = type(config).__name__.removesuffix("Config").lower()
            raise InputError(
                f"expected {table}.{name} of {least} or more, found {getattr(config, name)}"
            )
