# SPDX-License-Identifier: Apache-2.0
"""What one preparation does to its clips; the same for all of them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from talkcodec.errors import InputError
from training.corpus import Split

Licence = Literal["permissive", "any"]


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of a preparation.

    ``licence``: which clips of a manifest are taken. ``split``: take only this one.
    ``identity``: a regular expression searched in a clip's path below the folder, whose first
    group names the person; for folders without a manifest. ``val_share``: share of their
    identities that become val, 0 to 1. ``min_seconds``, ``max_seconds``: passages that are
    shorter are refused, longer ones divided. ``mask``: label the person mask.
    ``shard_megabytes``: a shard is closed when it has grown to this.
    """

    licence: Licence = "permissive"
    split: Split | None = None
    identity: str | None = None
    val_share: float = 0.05
    min_seconds: float = 1.0
    max_seconds: float = 60.0
    mask: bool = True
    shard_megabytes: float = 256.0

    def __post_init__(self) -> None:
        if self.licence not in ("permissive", "any"):
            raise InputError(f"expected a licence of permissive or any, found {self.licence}")
        if self.split not in (None, "train", "val"):
            raise InputError(f"expected a split of train or val, found {self.split}")
        if not 0 <= self.val_share <= 1:
            raise InputError(f"expected a val share from 0 to 1, found {self.val_share}")
        if not 0 < self.min_seconds <= self.max_seconds:
            raise InputError(
                f"expected 0 < least seconds <= most seconds, found {self.min_seconds} and "
                f"{self.max_seconds}"
            )
        if self.shard_megabytes <= 0:
            raise InputError(f"expected shards of more than 0 MB, found {self.shard_megabytes}")
        if self.identity is not None:
            self._check_identity(self.identity)

    @staticmethod
    def _check_identity(pattern: str) -> None:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise InputError(f"expected a regular expression, found {pattern!r}: {error}") from None
        if groups < 1:
            raise InputError(f"expected a group that names the person, found none in {pattern!r}")

    def as_json(self) -> dict[str, Any]:
        """Return the settings as plain values, the same for the same preparation."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        return cls(**stored)
