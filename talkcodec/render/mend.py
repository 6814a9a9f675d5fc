# SPDX-License-Identifier: Apache-2.0
"""What a warp tears, taken from another reference or filled smoothly from its surroundings.

Where a head turns, the warp pulls a strip of cheek, ear or hair over what the reference does not
show, and beyond its edge it draws bars. Often another reference of the bank shows what is there.
Where none does, nothing is known of the place but what is around it, and a soft transition catches
the eye less than a streak.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from talkcodec.render.field import extend
from talkcodec.render.measure import TORN, kept
from talkcodec.render.mix import mixed
from talkcodec.types import F32, U8, Bool

#: Rows and columns of a picture.
Box = tuple[slice, slice]

#: Share of a picture below which tears are let be.
_LEAST = 0.001
#: Grid on which tears are filled, for what fills them is smooth, pixels a side.
_COARSE = 64
#: Depth of the face's rim that may be filled, in cells of the flow. Lids and lips lie deeper: they
#: stretch as well, and come from other references.
_RIM = 4
#: Times its length that something is drawn from which on another reference may show it better. By
#: DISTS two thirds of what lending brings lie below ``TORN``.
_STRAINED = 1.6
#: How far beyond a tear another reference's picture reaches, outside the face, and over which way
#: it fades in, both in cells of the flow: what is beside a tear is stretched too.
_BEYOND, _FADE = 1, 2.0

#: Difference of two pictures of a place, in 8-bit steps, from which on they do not show the same.
_UNLIKE = 40.0

#: Times its length that something is drawn from which on even a smear is less wrong. Below, what is
#: stretched over a turned cheek looks like a cheek: filled, it looks out of focus (LPIPS and DISTS
#: of frames with such places -.5 % against filling from ``TORN`` on; nothing filled: +.4 %).
_LOST = 10.0

#: How much a place suffers: what is strained another reference may lend, what is torn it lends
#: however different its picture, and what is lost is filled where none lends it.
STRAINED, TEAR, LOST = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Loan:
    """What another reference lends. ``weight``: float32 (n, n), 1 where its picture is shown;
    ``needed``: likewise, where it is shown however it differs; ``left``: bool (n, n), what is
    lost in both.
    """

    weight: F32
    needed: F32
    left: Bool


def strain(flow: F32) -> U8:
    """Return where ``flow``, float32 (n, n, 2), canvas units, harms a picture: uint8 (n, n).

    0, ``STRAINED``, ``TEAR`` or ``LOST``.
    """
    share = kept(flow)
    levels = [(share < 1 / limit).view(np.uint8) for limit in (_STRAINED, TORN, _LOST)]
    return np.asarray(levels[0] + levels[1] + levels[2], np.uint8)


def harm(flow: F32, inside: Bool, behind: F32 | None = None) -> U8 | None:
    """Return the ``strain`` of what is to be mended; None where that is hardly anything.

    ``inside``: bool (n, n), the face, of which only the rim may be. ``behind``: float32 (n, n),
    where the flow is not what is drawn along (``talkcodec.render.matte``).
    """
    found = strain(flow)
    if behind is not None:
        found[behind > 0.5] = 0
    deep = cv2.erode(inside.astype(np.uint8), np.ones((2 * _RIM + 1, 2 * _RIM + 1), np.uint8))
    found[deep > 0] = 0
    marked = np.asarray(
        cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)), np.uint8
    )
    return marked if _enough(marked) else None


def lent(harmed: U8, inside: Bool, other: F32) -> Loan | None:
    """Return what a reference lends to what is ``harmed`` (``harm``); ``other``: the flow to it.

    ``inside``: bool (n, n), the face, of which nothing is taken but what is harmed: the two
    references show different expressions. None where it suffers in the same places.
    """
    bad = np.asarray(cv2.dilate(strain(other), np.ones((3, 3), np.uint8)), np.uint8)
    better = harmed > bad
    if not _enough(better):
        return None
    kernel = np.ones((2 * _BEYOND + 1, 2 * _BEYOND + 1), np.uint8)
    wide = cv2.dilate(better.view(np.uint8), kernel) > 0
    wanted = np.where((bad > 0) | inside, better, wide)
    torn = harmed >= TEAR
    weight = cv2.GaussianBlur(wanted.astype(np.float32), (0, 0), _FADE)
    needed = cv2.GaussianBlur(cv2.dilate(torn.astype(np.float32), kernel), (0, 0), _FADE)
    return Loan(
        np.asarray(weight, np.float32),
        np.asarray(needed, np.float32),
        (harmed == LOST) & (bad == LOST),
    )


def taken(picture: U8, loan: Loan, draw: Callable[[Box], U8]) -> U8:
    """Return ``picture`` (S, S, 3) with what is lent; ``draw`` gives it within a box.

    Where two pictures of a place that is not torn differ much, one of them shows hair and the other
    the wall, and nobody knows which is right: a seam would only be added.
    """
    size = picture.shape[1::-1]
    weight, needed = (
        np.asarray(cv2.resize(map_, size, interpolation=cv2.INTER_LINEAR), np.float32)
        for map_ in (loan.weight, loan.needed)
    )
    box = box_of(weight)
    part, other = picture[box], draw(box)
    alike = _alike(part, other, size[0] / 64)
    share = weight[box] * np.maximum(alike, np.minimum(needed[box] * 1.5, 1))
    out = picture.copy()
    out[box] = mixed(part, other, share)
    return out


def _alike(one: U8, other: U8, blur: float) -> F32:
    """Return how much two pictures (h, w, 3) show the same: float32 (h, w), 0 to 1.

    ``blur``: deviation of the Gaussian over which they are compared, pixels.
    """
    height, width = one.shape[:2]
    # At half the size it takes a fifth of the time; the way there and back blurs by a pixel itself.
    half = ((width + 1) // 2, (height + 1) // 2)
    apart = cv2.resize(cv2.absdiff(one, other), half, interpolation=cv2.INTER_AREA)
    mean = cv2.transform(apart.astype(np.float32), np.full((1, 3), 1 / 3))
    mean = cv2.GaussianBlur(mean, (0, 0), max(blur * blur - 1, 1) ** 0.5 / 2)
    unlike = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(3 - unlike * np.float32(3 / _UNLIKE), 0, 1), np.float32)


def _enough(marked: U8 | Bool) -> bool:
    return bool(np.count_nonzero(marked) >= _LEAST * marked.size)


def smoothed(picture: U8, marked: Bool) -> U8:
    """Return ``picture`` (S, S, 3) filled from its surroundings where ``marked``, bool (n, n)."""
    if not _enough(marked):
        return picture
    wide = cv2.dilate(marked.view(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    coarse = (_COARSE, _COARSE)
    small = cv2.resize(picture, coarse, interpolation=cv2.INTER_AREA).astype(np.float32)
    whole = cv2.resize(wide, coarse, interpolation=cv2.INTER_AREA) < 0.01
    if whole.all() or not whole.any():
        return picture
    side = picture.shape[0]
    fill, sharp = (
        np.asarray(cv2.resize(map_, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
        for map_ in (extend(small, whole), wide)
    )
    weight = np.asarray(cv2.GaussianBlur(sharp, (0, 0), side / 128), np.float32)
    place = box_of(weight)
    out, part = picture.copy(), picture[place]
    out[place] = mixed(part, fill[place], weight[place])
    return out


def box_of(weight: F32) -> Box:
    """Return the smallest box outside which ``weight`` (S, S) is 0."""
    left, top, width, height = cv2.boundingRect((weight > 0).view(np.uint8))
    return np.s_[top : top + height, left : left + width]
