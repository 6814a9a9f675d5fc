# SPDX-License-Identifier: Apache-2.0
"""Copies are recognised whatever was done to them; other takes are not copies."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from talkcodec.types import U8
from training.prepare.hashing import SAME, distance, duplicates, picture_hash


def greys(pictures: list[U8]) -> list[U8]:
    return [np.asarray(cv2.cvtColor(p, cv2.COLOR_RGB2GRAY), np.uint8) for p in pictures[::10]]


def hashes(pictures: list[U8]) -> list[bytes]:
    return [picture_hash(picture) for picture in pictures]


def smaller(picture: U8) -> U8:
    return np.asarray(cv2.resize(picture, (120, 120), interpolation=cv2.INTER_AREA), np.uint8)


def coded(picture: U8) -> U8:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 25])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def dimmed(picture: U8) -> U8:
    return np.asarray(cv2.convertScaleAbs(picture, alpha=0.8, beta=10), np.uint8)


@pytest.mark.parametrize("change", [smaller, coded, dimmed])
def test_a_copy_is_recognised(portrait_pictures: list[U8], change: Callable[[U8], U8]) -> None:
    one = greys(portrait_pictures)
    other = [change(picture) for picture in one]
    assert distance(hashes(one), hashes(other)) < SAME
    assert duplicates([("b", hashes(one)), ("a", hashes(other))]) == {"a": "b"}


def test_a_mirrored_picture_is_another(portrait_pictures: list[U8]) -> None:
    one = greys(portrait_pictures)
    other = [np.ascontiguousarray(picture[:, ::-1]) for picture in one]
    assert distance(hashes(one), hashes(other)) > 2 * SAME
    assert duplicates([("a", hashes(one)), ("b", hashes(other))]) == {}


def noise(seed: int, count: int) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, 32, np.uint8).tobytes() for _ in range(count)]


def test_takes_that_agree_for_a_while_are_two() -> None:
    assert duplicates([("a", noise(0, 10)), ("b", noise(0, 4) + noise(1, 6))]) == {}


def test_a_part_of_a_passage_is_no_copy() -> None:
    assert duplicates([("a", noise(0, 10)), ("b", noise(0, 7))]) == {}
    assert duplicates([("a", noise(0, 10)), ("b", noise(0, 9))]) == {"b": "a"}


def test_all_copies_go_to_the_first() -> None:
    same = noise(0, 5)
    found = duplicates([("a", same), ("b", noise(1, 5)), ("c", same), ("d", same)])
    assert found == {"c": "a", "d": "a"}


def test_nothing_is_like_nothing() -> None:
    assert distance([], noise(0, 1)) == 1
    assert duplicates([("a", []), ("b", [])]) == {}
