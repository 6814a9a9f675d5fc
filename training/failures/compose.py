# SPDX-License-Identifier: Apache-2.0
"""Clips in which something happens that a face codec cannot draw.

Each scene begins with the clip as it is, then a thing comes, stays and goes, and the clip goes on.
The *event* is the first frame at which the picture cannot be drawn any more: a tenth of the face
is hidden, half of another face at least half as high as ours is in view, the light or the contrast
has halved, another person sits there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from talkcodec.face.tracker import FaceTracker
from talkcodec.motion.landmarks import OVAL
from talkcodec.types import F32, F64, U8, FaceObservation, Frame
from training.failures.hands import Hand, Random, skin_colour

#: Seconds before the thing comes, while it stays, and after it has gone.
BEFORE, STAY, AFTER = 1.6, 1.8, 2.6
#: Steps a frame over which motion is blurred.
SHUTTER = 3
#: Share of the face's oval that is hidden when the event has happened.
HIDDEN = 0.10


@dataclass(frozen=True, slots=True)
class Take:
    """Material: a clip with the landmarks (T, 478, 3) of its face, in pixels of its pictures."""

    name: str
    pictures: list[U8]
    landmarks: F32
    rate: Fraction

    def at(self, index: int) -> tuple[U8, F32]:
        """Return a frame; past the end the clip runs backwards and forwards again."""
        last = len(self.pictures) - 1
        place = index % max(2 * last, 1)
        place = min(place, 2 * last - place)
        return self.pictures[place], self.landmarks[place]


@dataclass(frozen=True, slots=True)
class Staged:
    """A scene. ``start``: first frame touched; ``event``: see the module; ``end``: the first
    frame after it that is as the clip was, or None where that never comes.
    """

    name: str
    kind: str
    frames: list[U8]
    rate: Fraction
    start: int
    event: int
    end: int | None

    def source(self) -> list[Frame]:
        """Return the frames with their times."""
        return [Frame(picture, i, 1 / self.rate) for i, picture in enumerate(self.frames)]


def take(name: str, pictures: list[U8], rate: Fraction, tracker: FaceTracker) -> Take | None:
    """Track the face in ``pictures``; None where it is not seen in nine of ten frames."""
    tracker.reset()
    seen = [tracker.track(p, i / float(rate)) for i, p in enumerate(pictures)]
    if sum(s is not None for s in seen) < 0.9 * len(pictures):
        return None
    marks: list[F32] = []
    last: FaceObservation = next(s for s in seen if s is not None)
    for observed in seen:
        last = observed or last
        marks.append(last.landmarks)
    return Take(name, pictures, np.stack(marks), rate)


def stage(kind: str, material: Take, other: Take, seed: int) -> Staged:
    """Stage ``kind`` of ``KINDS`` over ``material``; ``other`` lends another face or a texture."""
    random = np.random.default_rng([seed, *map(ord, kind)])
    rate = float(material.rate)
    start, stay = round(BEFORE * rate), round(STAY * rate)
    count = start + stay + round(AFTER * rate)
    actor = KINDS[kind](material, other, stay / rate, random)
    frames, hidden = [], []
    for index in range(count):
        picture, landmarks = material.at(index)
        time = (index - start) / rate
        if 0 <= time < stay / rate:
            changed, shown = actor(picture, landmarks, time, index)
            frames.append(changed)
            hidden.append(shown)
        else:
            frames.append(picture)
            hidden.append(0.0)
    over = [i for i, h in enumerate(hidden) if h >= 1]
    event = over[0] if over else start
    ends = None if kind in ENDLESS else start + stay
    if ends is None:
        frames = frames[: start + stay]
    return Staged(material.name, kind, frames, material.rate, start, event, ends)


# An actor changes a frame: (picture, landmarks, seconds since the start, frame number) → the
# changed picture and how far the event has come; at 1 it has happened.
Actor = Callable[[U8, F32, float, int], tuple[U8, float]]


def hand_over_face(material: Take, _: Take, stay: float, random: Random) -> Actor:
    """A hand comes from below or from a side, rests on the face, moves a little, and leaves."""
    first, marks = material.at(0)
    face = float(np.ptp(marks[list(OVAL), 0]))
    hand = Hand.random(face * random.uniform(0.5, 0.75), skin_colour(first, marks), random)
    angle = float(random.uniform(-1.2, 1.2))
    goal = int(random.choice([1, 13, 152, 168, 50, 280]))  # nose, lips, chin, brow, cheeks
    middle = random.uniform(0.8, 1.3) * hand.width
    rush = float(random.uniform(0.2, 0.45))
    shake, phase = random.uniform(0.02, 0.08), random.uniform(0, 6)

    def layer(landmarks: F32, time: float, size: tuple[int, int]) -> F32:
        away = _approach(time, stay, rush)
        towards = np.array([np.sin(angle), -np.cos(angle)])
        wobble = shake * face * np.array([np.sin(5 * time + phase), np.cos(4 * time)])
        wrist = landmarks[goal, :2] - towards * (middle + 3.2 * hand.width * away) + wobble
        return hand.draw(size, wrist.astype(np.float64), angle, 0.12 * np.sin(7 * time + phase))

    return _overlay(layer, material.rate)


def two_hands(material: Take, other: Take, stay: float, random: Random) -> Actor:
    """Both hands over the eyes, as when somebody rubs them."""
    first, marks = material.at(0)
    face = float(np.ptp(marks[list(OVAL), 0]))
    skin, rush = skin_colour(first, marks), float(random.uniform(0.2, 0.4))
    hands = [Hand.random(face * random.uniform(0.5, 0.65), skin, random) for _ in range(2)]
    del other

    def layer(landmarks: F32, time: float, size: tuple[int, int]) -> F32:
        away = _approach(time, stay, rush)
        out = np.zeros((*size, 4), np.float32)
        for hand, goal, angle in zip(hands, (105, 334), (0.25, -0.25), strict=True):
            towards = np.array([np.sin(angle), -np.cos(angle)])
            rub = 0.04 * face * np.array([0.3, np.sin(9 * time)])
            wrist = landmarks[goal, :2] - towards * hand.width * (1.3 + 3.2 * away) + rub
            one = hand.draw(size, wrist.astype(np.float64), angle, 0.1 * np.sin(9 * time))
            out = out * (1 - one[..., 3:]) + one
        return out

    return _overlay(layer, material.rate)


def held_up(material: Take, other: Take, stay: float, random: Random) -> Actor:
    """A card, a book, a phone or a cup is held up before the face."""
    _, marks = material.at(0)
    face = float(np.ptp(marks[list(OVAL), 0]))
    texture = other.at(int(random.integers(1000)))[0]
    shape = face * random.uniform([0.45, 0.5], [0.95, 1.1])
    goal = int(random.choice([1, 13, 152, 50, 280]))
    plain, tilt = random.random() < 0.5, float(random.uniform(-0.4, 0.4))
    tone, rush = random.uniform(20, 240, 3).astype(np.float32), float(random.uniform(0.2, 0.45))
    come = random.normal(0, 0.6), 1.0

    def layer(landmarks: F32, time: float, size: tuple[int, int]) -> F32:
        away = _approach(time, stay, rush)
        turn = tilt + 0.05 * np.sin(3 * time)
        centre = landmarks[goal, :2] + np.array(come) * away * 2.4 * face
        c, s = np.cos(turn), np.sin(turn)
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * shape / 2
        quad = (corners @ np.array([[c, s], [-s, c]]) + centre).astype(np.float32)
        height, width = texture.shape[:2]
        flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        warp = cv2.getPerspectiveTransform(flat, quad)
        whole = np.ones((height, width, 4), np.float32)
        whole[..., :3] = tone if plain else texture
        if plain:  # print on it, as on a cup or a box
            whole[height // 3 : height // 2, width // 5 : -width // 5, :3] = 255 - tone
        return np.asarray(cv2.warpPerspective(whole, warp, size[::-1]), np.float32)

    return _overlay(layer, material.rate)


def second_face(material: Take, other: Take, stay: float, random: Random) -> Actor:
    """Somebody comes into the picture from a side, and nearer."""
    _, marks = material.at(0)
    ours = float(np.ptp(marks[list(OVAL), 1]))
    side = float(random.choice([-1.0, 1.0]))
    gap, largest = random.uniform(0.55, 0.9), random.uniform(0.75, 1.2)
    drop = random.uniform(-0.25, 0.15)

    def layer(landmarks: F32, time: float, size: tuple[int, int]) -> F32:
        away = _approach(time, stay, 0.5)
        near = min(0.6 + 0.5 * time / stay, 1.0) * largest
        picture, face = other.at(round(time * float(other.rate)))
        scale = near * ours / max(float(np.ptp(face[list(OVAL), 1])), 1.0)
        width = float(np.ptp(landmarks[list(OVAL), 0]))
        middle = landmarks[list(OVAL), :2].mean(0)
        goal = middle + np.array([side * (gap + 1.6 * away) * width, drop * ours])
        return _head(picture, face, scale, goal, size)

    overlay = _overlay(layer, material.rate)

    def act(picture: U8, landmarks: F32, time: float, index: int) -> tuple[U8, float]:
        out, hidden = overlay(picture, landmarks, time, index)
        cover = layer(landmarks, time, (picture.shape[0], picture.shape[1]))
        whole = cover[..., 3].sum() / max(_full_head(other, time, ours, largest, stay), 1.0)
        return out, max(hidden, min(whole / 0.5, 1.0))

    return act


def covered_lens(material: Take, _: Take, stay: float, random: Random) -> Actor:
    """The lens is covered from one side: dark, or by a finger that glows, and out of focus."""
    shape = material.pictures[0].shape[:2]
    angle, rush = random.uniform(0, 2 * np.pi), float(random.uniform(0.3, 0.9))
    glowing = random.random() < 0.4
    tone = random.uniform((60, 15, 5), (170, 60, 45)) if glowing else random.uniform(0, 12, 3)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    across = np.cos(angle) * x + np.sin(angle) * y
    soft = float(random.uniform(0.25, 0.6))

    def act(picture: U8, landmarks: F32, time: float, index: int) -> tuple[U8, float]:
        del landmarks, index
        away = _approach(time, stay, rush)
        cover = 1 / (1 + np.exp(np.clip((across - 2.4 + 4.8 * away) / (soft / 3), -30, 30)))
        out = picture + (tone - picture) * cover[..., None] * 0.97
        grain = np.random.default_rng(int(time * 1000)).normal(0, 1.2, picture.shape)
        done = np.clip(np.rint(out + grain), 0, 255).astype(np.uint8)
        return done, float(cover.mean()) / 0.5

    return act


def light_out(material: Take, _: Take, stay: float, random: Random) -> Actor:
    """The whole picture darkens and blurs, as when something comes close before the lens."""
    rush, floor = float(random.uniform(0.25, 0.8)), float(random.uniform(0.0, 0.06))
    side = max(material.pictures[0].shape[:2])

    def act(picture: U8, landmarks: F32, time: float, index: int) -> tuple[U8, float]:
        del landmarks, index
        done = 1 - _approach(time, stay, rush)
        blurred = cv2.GaussianBlur(picture, (0, 0), 0.1 + 0.04 * side * done).astype(np.float32)
        factor = 1 - (1 - floor) * done
        grain = np.random.default_rng(int(time * 1000)).normal(0, 1.2, picture.shape)
        out = np.clip(np.rint(blurred * factor + grain), 0, 255)
        return out.astype(np.uint8), (1 - factor) / 0.5

    return act


def another_person(material: Take, other: Take, stay: float, random: Random) -> Actor:
    """The picture cuts to another person whose face is where ours was."""
    _, first = material.at(0)
    _, theirs = other.at(0)
    scale = np.ptp(first[list(OVAL), 1]) / max(float(np.ptp(theirs[list(OVAL), 1])), 1.0)
    shift = first[1, :2] - theirs[1, :2] * scale + random.normal(0, 0.03, 2) * np.ptp(first[:, 0])
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    del stay

    def act(picture: U8, landmarks: F32, time: float, index: int) -> tuple[U8, float]:
        del landmarks, index
        theirs, _ = other.at(round(time * float(other.rate)))
        size = (picture.shape[1], picture.shape[0])
        out = cv2.warpAffine(theirs, warp, size, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(out, np.uint8), 1.0

    return act


KINDS: dict[str, Callable[[Take, Take, float, Random], Actor]] = {
    "hand": hand_over_face,
    "hands": two_hands,
    "held up": held_up,
    "second face": second_face,
    "covered lens": covered_lens,
    "dark": light_out,
    "another person": another_person,
}
#: Kinds after which the clip does not come back.
ENDLESS = frozenset({"another person"})


def _approach(time: float, stay: float, rush: float) -> float:
    """Return how far away a thing still is, 1 to 0 and back to 1 at the end of its stay."""
    come, go = min(time / rush, 1.0), min((stay - time) / rush, 1.0)
    return 1 - float(np.sin(np.pi / 2 * max(min(come, go), 0.0)))


def _overlay(layer: Callable[[F32, float, tuple[int, int]], F32], rate: Fraction) -> Actor:
    """Lay a moving ``layer`` over frames, blurred over half a frame as by a shutter."""

    def act(picture: U8, landmarks: F32, time: float, index: int) -> tuple[U8, float]:
        del index
        size = (picture.shape[0], picture.shape[1])
        steps = [time + 0.5 * s / SHUTTER / float(rate) for s in range(SHUTTER)]
        mean = np.mean([layer(landmarks, t, size) for t in steps], 0)
        out = np.clip(np.rint(picture * (1 - mean[..., 3:]) + mean[..., :3]), 0, 255)
        return out.astype(np.uint8), hidden_share(mean[..., 3], landmarks) / HIDDEN

    return act


def hidden_share(cover: F32 | F64, landmarks: F32) -> float:
    """Return the share of the face's oval under ``cover`` (H, W), 0 to 1."""
    mask = np.zeros(cover.shape, np.uint8)
    hull = cv2.convexHull(landmarks[list(OVAL), :2].astype(np.float32))
    cv2.fillConvexPoly(mask, np.rint(hull).astype(np.int32), 1)
    return float(cover[mask > 0].mean()) if mask.any() else 0.0


def _head(picture: U8, face: F32, scale: float, goal: F64, size: tuple[int, int]) -> F32:
    """Cut head and shoulders out of ``picture`` and lay them at ``goal``: float32 (H, W, 4)."""
    oval = face[list(OVAL), :2]
    middle, reach = oval.mean(0), np.ptp(oval, 0)
    mask = np.zeros(picture.shape[:2], np.uint8)
    spot = ((float(middle[0]), float(middle[1] - 0.08 * reach[1])), *_axes(reach))
    cv2.ellipse(mask, spot, 255, -1)
    top = middle[1] + 0.45 * reach[1]
    body = [(-0.3, 0), (-1.1, 0.35), (-1.3, 3), (1.3, 3), (1.1, 0.35), (0.3, 0)]
    corners = [(middle[0] + x * reach[0], top + y * reach[1]) for x, y in body]
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(mask, (0, 0), 0.025 * float(reach[1]) + 0.5).astype(np.float32) / 255
    cut = np.dstack([picture * soft[..., None], soft]).astype(np.float32)
    shift = goal - middle * scale
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
    return np.asarray(cv2.warpAffine(cut, warp, size[::-1]), np.float32)


def _axes(reach: F32) -> tuple[tuple[float, float], float]:
    return (1.45 * float(reach[0]), 1.5 * float(reach[1])), 0.0


def _full_head(other: Take, time: float, ours: float, largest: float, stay: float) -> float:
    """Return the area that the other's head alone has when all of it is in view."""
    _, face = other.at(round(time * float(other.rate)))
    near = min(0.6 + 0.5 * time / stay, 1.0) * largest
    reach = np.ptp(face[list(OVAL), :2], axis=0)
    scale = near * ours / max(float(reach[1]), 1.0)
    return float(np.pi / 4 * 1.45 * reach[0] * 1.5 * reach[1] * scale**2)
