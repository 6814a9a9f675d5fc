# SPDX-License-Identifier: Apache-2.0
"""Parity for equal pieces of a message: any k of k + p pieces give the k back (FORMAT.md 9).

The code is ``reedsolo``'s, a systematic Reed–Solomon code over GF(256). Being linear, it is asked
for its few coefficients only; NumPy applies them to whole pieces, a thousand times as fast as
coding byte by byte. Other packages were tried: ``zfec`` is GPL; ``raptorq`` has wheels for one
platform, needs pieces of a multiple of 8 bytes, and panics past ``except Exception``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

import numpy as np
import reedsolo

from talkcodec.types import U8

#: Pieces of data, and of parity, that may be coded together: a bound on work per message.
MAX_DATA, MAX_PARITY = 64, 16

_PRIMITIVE = 0x11D


def add_parity(pieces: Sequence[bytes], parity: int) -> list[bytes]:
    """Return ``parity`` pieces of parity for 1 to 64 ``pieces`` of equal size.

    Raises ``ValueError`` for numbers or sizes beyond that.
    """
    if not 1 <= len(pieces) <= MAX_DATA or not 0 <= parity <= MAX_PARITY:
        raise ValueError(
            f"expected 1 to {MAX_DATA} pieces and up to {MAX_PARITY} of parity,"
            f" found {len(pieces)} and {parity}"
        )
    if len({len(piece) for piece in pieces}) != 1:
        raise ValueError("expected pieces of equal size, found others")
    return _bytes(_apply(_generator(len(pieces), parity), _rows(pieces)))


def recover(pieces: Mapping[int, bytes], count: int, parity: int) -> list[bytes]:
    """Return all ``count`` pieces of data from any ``count`` of ``pieces``, of equal size.

    Indexes from ``count`` on are parity. Raises ``ValueError`` when there are too few.
    """
    missing = [index for index in range(count) if index not in pieces]
    spare = [index for index in range(count, count + parity) if index in pieces][: len(missing)]
    if len(spare) < len(missing):
        raise ValueError(f"expected {count} pieces, found {len(pieces)}")
    if not missing:
        return [pieces[index] for index in range(count)]
    zero = bytes(len(next(iter(pieces.values()))))
    known = _rows([pieces.get(index, zero) for index in range(count)])
    # What the parity that came says beyond what the known pieces explain.
    residue = _apply(_generator(count, parity)[[index - count for index in spare]], known)
    residue ^= _rows([pieces[index] for index in spare])
    found = _bytes(_apply(_solver(count, parity, tuple(missing), tuple(spare)), residue))
    solved = dict(zip(missing, found, strict=True))
    return [pieces[index] if index in pieces else solved[index] for index in range(count)]


@cache
def _products() -> U8:
    """Return the multiplication table of the field: uint8 (256, 256)."""
    log, exp, _ = reedsolo.init_tables(_PRIMITIVE)
    logs = np.frombuffer(bytes(log), np.uint8).astype(np.intp)
    table = np.asarray(np.frombuffer(bytes(exp), np.uint8)[logs[:, None] + logs], np.uint8)
    table[0, :] = table[:, 0] = 0
    return table


@lru_cache(maxsize=64)
def _codec(count: int, parity: int) -> reedsolo.RSCodec:
    return reedsolo.RSCodec(parity, nsize=count + parity, prim=_PRIMITIVE)


@lru_cache(maxsize=64)
def _generator(count: int, parity: int) -> U8:
    """Return what each piece contributes to each piece of parity: uint8 (parity, count)."""
    if not parity:
        return np.zeros((0, count), np.uint8)
    units = np.eye(count, dtype=np.uint8)
    coded = [bytes(_codec(count, parity).encode(unit.tobytes())) for unit in units]
    return np.stack([np.frombuffer(row[count:], np.uint8) for row in coded], axis=1)


def _solver(count: int, parity: int, missing: tuple[int, ...], spare: tuple[int, ...]) -> U8:
    """Return what each residue in ``spare`` contributes to each ``missing`` piece: uint8 (e, e)."""
    erased = [index for index in range(count, count + parity) if index not in spare]
    columns = []
    for place in spare:
        word = bytearray(count + parity)
        word[place] = 1
        data = _codec(count, parity).decode(word, erase_pos=[*missing, *erased])[0]
        columns.append([data[index] for index in missing])
    return np.array(columns, np.uint8).T


def _apply(matrix: U8, rows: U8) -> U8:
    """Return the product of ``matrix`` (m, n) and ``rows`` (n, bytes) over the field."""
    out = np.zeros((len(matrix), rows.shape[1]), np.uint8)
    for place, coefficients in enumerate(matrix):
        for factor, row in zip(coefficients, rows, strict=True):
            out[place] ^= _products()[factor][row]
    return out


def _rows(pieces: Sequence[bytes]) -> U8:
    return np.stack([np.frombuffer(piece, np.uint8) for piece in pieces])


def _bytes(rows: U8) -> list[bytes]:
    return [row.tobytes() for row in rows]
