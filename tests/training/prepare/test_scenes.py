# SPDX-License-Identifier: Apache-2.0
"""Cuts are found; movement, light and fades are none."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np

from talkcodec.types import U8, Box
from training.prepare.options import Options
from training.prepare.scan import GAP, Scan, Scene, Sight, spans, window
from training.prepare.scenes import CutFinder


def cuts(pictures: list[U8]) -> list[int]:
    finder = CutFinder()
    return [index for index, picture in enumerate(pictures) if finder.step(picture)]


def other_scene(count: int) -> list[U8]:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 256, (16, 16, 3), np.uint8)
    bright = np.asarray(cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC), np.uint8)
    bright[..., 2] //= 4
    return [bright] * count


def test_a_cut_is_the_first_frame_of_a_scene(portrait_pictures: list[U8]) -> None:
    one = portrait_pictures[:8]
    assert cuts([*one, *other_scene(5), *one]) == [8, 13]


def test_a_moving_face_is_no_cut(portrait_pictures: list[U8]) -> None:
    assert cuts(portrait_pictures) == []


def test_a_camera_that_turns_is_no_cut(portrait_pictures: list[U8]) -> None:
    turned = [np.ascontiguousarray(np.roll(portrait_pictures[0], 12 * i, axis=1)) for i in range(9)]
    assert cuts(turned) == []


def test_a_fade_and_a_lamp_are_no_cuts(portrait_pictures: list[U8]) -> None:
    face = portrait_pictures[0]
    fade = [np.asarray(cv2.convertScaleAbs(face, alpha=a), np.uint8) for a in np.linspace(1, 0, 25)]
    lamp = [np.asarray(cv2.convertScaleAbs(face, beta=b), np.uint8) for b in (0, 0, 12, 12, 12)]
    assert cuts(fade) == []
    assert cuts(lamp) == []


def scanned(scenes: list[Scene], count: int) -> Scan:
    return Scan([index / 25 for index in range(count)], Fraction(25), (640, 480), scenes)


def scene(start: int, stop: int, seen: list[tuple[int, Box]]) -> Scene:
    return Scene(start, stop, [Sight(i, i / 25, box) for i, box in seen], looks=len(seen))


BOX = Box(200, 150, 300, 280)


def test_a_scene_with_a_face_throughout_is_one_passage() -> None:
    found = scanned([scene(0, 100, [(i, BOX) for i in range(0, 100, 5)])], 100)
    (span,) = spans(found, Options())
    assert (span.start, span.stop) == (0, 100)
    assert span.seconds == 4
    assert span.height == 130


def test_a_passage_ends_at_a_cut_and_where_the_face_is_gone() -> None:
    gap = int(GAP * 25) + 10
    first = [(i, BOX) for i in range(0, 50, 5)] + [(i, BOX) for i in range(50 + gap, 100, 5)]
    scenes = [scene(0, 100, first), scene(100, 150, [(i, BOX) for i in range(100, 150, 5)])]
    found = [(span.start, span.stop) for span in spans(scanned(scenes, 150), Options())]
    assert found == [(0, 46), (50 + gap, 100), (100, 150)]


def test_long_passages_are_divided_without_a_gap() -> None:
    found = scanned([scene(0, 500, [(i, BOX) for i in range(0, 500, 5)])], 500)
    pieces = list(spans(found, Options(max_seconds=6)))
    assert len(pieces) == 4
    assert all(piece.seconds <= 6 for piece in pieces)
    assert [p.stop for p in pieces[:-1]] == [p.start for p in pieces[1:]]
    assert sum(piece.stop - piece.start for piece in pieces) == 500


def test_a_face_that_walks_about_gets_a_wider_window() -> None:
    still = scanned([scene(0, 100, [(i, BOX) for i in range(0, 100, 5)])], 100)
    moved = [Box(150 + i, 150, 250 + i, 280) for i in range(0, 100, 5)]
    walk = scanned([scene(0, 100, list(zip(range(0, 100, 5), moved, strict=True)))], 100)
    sides = []
    for found in (still, walk):
        (span,) = spans(found, Options())
        left, top, right, bottom = window(span, found.size, 256).bounds
        assert right - left == bottom - top
        assert left >= 0
        assert bottom <= 480
        sides.append(right - left)
    assert sides[0] <= sides[1]
