# SPDX-License-Identifier: Apache-2.0
"""The tracker that ships: our own networks, 3 MB, run by OpenVINO or ONNX Runtime.

A face is looked for where it was in the picture before; the detector runs when there is none, and
now and then to notice others. Landmarks are smoothed by a One-Euro filter in shares of the face,
so that a still face is still and a blink is not delayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from talkcodec.face.networks import Detector, Landmarker, Reading, overlap
from talkcodec.face.place import Place
from talkcodec.face.tracker import observation
from talkcodec.motion.smooth import OneEuroFilter, SmoothingConfig
from talkcodec.render.engine import EngineName
from talkcodec.types import F32, U8, FaceObservation

#: More faces than this in one picture are not looked at.
CROWD = 3
#: Seconds between two looks for further faces while one is followed.
LOOK = 0.5
#: Chance of a face, 0 to 1, at which one is taken up, and below which it is given up.
TAKE, KEEP = 0.6, 0.35
#: A place that was this far off, in sides, or off in size by this share, is looked at again.
OFF = 0.1
#: Two tracks whose places overlap by more than this follow one face.
MERGED = 0.5

# The filter's unit: a thousandth of the place's side when the face was taken up.
_UNIT = 1000.0
SMOOTHING = SmoothingConfig(rest_cutoff=4.0, speed_gain=0.25, speed_cutoff=8.0)


@dataclass(slots=True)
class _Track:
    """A face that is followed: where to look next, and its filter."""

    place: Place
    scale: float  # filter units a pixel
    filter: OneEuroFilter = field(default_factory=lambda: OneEuroFilter(SMOOTHING))
    reading: Reading | None = None


class BuiltinFinder:
    """A ``FaceFinder`` over the networks that ship."""

    def __init__(self, engine: EngineName = "auto", *, smooth: bool = True) -> None:
        """``engine``: what runs the networks. ``smooth``: still the landmarks over time."""
        self._detector = Detector(engine)
        self._landmarker = Landmarker(engine)
        self._smooth = smooth
        self._tracks: list[_Track] = []
        self._time = 0.0
        self._looked = float("-inf")

    def find(self, picture: U8, time: float) -> list[FaceObservation]:
        interval, self._time = time - self._time, time
        for track in self._tracks:
            self._follow(picture, track)
        self._tracks = _apart([track for track in self._tracks if track.reading is not None])
        if not self._tracks or time - self._looked >= LOOK:
            self._looked = time
            self._look(picture)
        return [self._observe(track, picture, interval) for track in self._tracks]

    def _follow(self, picture: U8, track: _Track) -> None:
        """Read the face of ``track``, or leave it without a reading."""
        reading = self._read(picture, track.place)
        track.reading = reading if reading.chance >= KEEP else None
        if track.reading is not None:
            track.place = Place.around(reading.landmarks)

    def _read(self, picture: U8, place: Place) -> Reading:
        """Read a place, and once more where the face is if the place was off."""
        reading = self._landmarker(picture, place)
        if reading.chance < KEEP:
            return reading
        right = Place.around(reading.landmarks)
        shift = max(abs(right.x - place.x), abs(right.y - place.y)) / place.side
        if shift < OFF and abs(np.log(right.side / place.side)) < OFF:
            return reading
        return self._landmarker(picture, right)

    def _look(self, picture: U8) -> None:
        """Take up faces that nobody follows."""
        for _, place in self._detector(picture, CROWD):
            if len(self._tracks) == CROWD:
                return
            if any(overlap(place, track.place) > 0.2 for track in self._tracks):
                continue
            reading = self._read(picture, place)
            if reading.chance >= TAKE:
                right = Place.around(reading.landmarks)
                track = _Track(right, _UNIT / right.side, reading=reading)
                self._tracks = _apart([*self._tracks, track])

    def _observe(self, track: _Track, picture: U8, interval: float) -> FaceObservation:
        assert track.reading is not None
        landmarks = track.reading.landmarks
        if self._smooth:
            landmarks = _filtered(track, landmarks, interval)
        height, width = picture.shape[:2]
        seen = observation(landmarks, width, height)
        return FaceObservation(landmarks, seen.confidence * track.reading.chance, seen.box)

    def reset(self) -> None:
        self._tracks = []
        self._time, self._looked = 0.0, float("-inf")

    def close(self) -> None:
        self._detector.close()
        self._landmarker.close()


def _filtered(track: _Track, landmarks: F32, interval: float) -> F32:
    """Smooth in units of the face's size: near and far faces alike."""
    smooth = track.filter(landmarks.astype(np.float64).ravel() * track.scale, interval)
    smooth = smooth / track.scale
    return smooth.reshape(landmarks.shape).astype(np.float32)


def _apart(tracks: list[_Track]) -> list[_Track]:
    """Drop the younger of two tracks that follow one face."""
    kept: list[_Track] = []
    for track in tracks:
        if all(overlap(track.place, other.place) <= MERGED for other in kept):
            kept.append(track)
    return kept
