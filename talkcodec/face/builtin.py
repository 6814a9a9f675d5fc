# SPDX-License-Identifier: Apache-2.0
"""The tracker that ships: our own networks, 2.7 MB, run by OpenVINO or ONNX Runtime.

A face is looked for where it was in the picture before; the detector runs when there is none, and
now and then to notice others. Landmarks are smoothed by a One-Euro filter in shares of the face as
large as it was at first, so that a still face is still and a blink is not delayed.

The networks learned from MediaPipe's landmarker on talking heads: faces from about a seventh of
the picture's longer side on, turned by up to about 45°.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from talkcodec.face.networks import Details, Detector, Landmarker, Reading, overlap
from talkcodec.face.place import Place
from talkcodec.face.tracker import observation
from talkcodec.motion.landmarks import EYELIDS, IRISES, LIPS
from talkcodec.motion.smooth import OneEuroFilter, SmoothingConfig
from talkcodec.render.engine import EngineName
from talkcodec.types import F32, LANDMARKS, U8, FaceObservation

#: More faces than this in one picture are not looked at.
CROWD = 3
#: Seconds between two looks for further faces while one is followed.
LOOK = 0.2
#: Chance of a face, 0 to 1, at which one is taken up, and below which it is given up.
TAKE, KEEP = 0.7, 0.35
#: A place that was this far off, in sides, or off in size by this share, is looked at again.
OFF = 0.1
#: Two tracks whose places overlap by more than this follow one face.
MERGED = 0.5
#: By so many sides one track must have surprised more than the other to be the one that slid.
SURPRISED = 0.05

# The filter's unit: a thousandth of the place's side when the face was taken up.
_UNIT = 1000.0
#: Of lips, lids and irises, whose motion is quick, and of the rest of the face. Found on the val
#: clips: as still as the teacher that follows faces, and no later in a blink.
QUICK = SmoothingConfig(rest_cutoff=0.9, speed_gain=0.034, speed_cutoff=8.0)
SLOW = SmoothingConfig(rest_cutoff=0.7, speed_gain=0.028, speed_cutoff=8.0)
_QUICK_POINTS = np.isin(np.arange(LANDMARKS), (*LIPS, *EYELIDS, *IRISES))


@dataclass(slots=True, eq=False)
class _Track:
    """A face that is followed: where to look next, and its filter."""

    number: int
    place: Place
    scale: float  # filter units a pixel
    quick: OneEuroFilter = field(default_factory=lambda: OneEuroFilter(QUICK))
    slow: OneEuroFilter = field(default_factory=lambda: OneEuroFilter(SLOW))
    reading: Reading | None = None
    motion: tuple[float, float] = (0.0, 0.0)  # pixels a picture
    surprise: float = 0.0  # how far off that has been of late, in sides

    def move(self, place: Place) -> None:
        """Take note of where the face is now."""
        step = (place.x - self.place.x, place.y - self.place.y)
        off = max(abs(s - m) for s, m in zip(step, self.motion, strict=True))
        self.surprise = 0.7 * self.surprise + off / self.place.side
        self.motion = ((self.motion[0] + step[0]) / 2, (self.motion[1] + step[1]) / 2)
        self.place = place


class BuiltinFinder:
    """A ``FaceFinder`` over the networks that ship."""

    def __init__(self, engine: EngineName = "auto", *, smooth: bool = True) -> None:
        """``engine``: what runs the networks. ``smooth``: still the landmarks over time."""
        self._detector = Detector(engine)
        self._landmarker = Landmarker(engine)
        self._details = Details(engine)
        self._smooth = smooth
        self._tracks: list[_Track] = []
        self._count = 0
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
            track.move(Place.around(reading.landmarks))

    def _read(self, picture: U8, place: Place) -> Reading:
        """Read a place, once more where the face is if the place was off, then its details."""
        reading = self._landmarker(picture, place)
        if reading.chance < KEEP:
            return reading
        right = Place.around(reading.landmarks)
        shift = max(abs(right.x - place.x), abs(right.y - place.y)) / place.side
        if shift >= OFF or abs(np.log(right.side / place.side)) >= OFF:
            reading = self._landmarker(picture, right)
            right = Place.around(reading.landmarks)
        return replace(reading, landmarks=self._details(picture, reading.landmarks, right))

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
                self._count += 1
                track = _Track(self._count, right, _UNIT / right.side, reading=reading)
                self._tracks = _apart([*self._tracks, track])

    def _observe(self, track: _Track, picture: U8, interval: float) -> FaceObservation:
        assert track.reading is not None
        landmarks = track.reading.landmarks
        if self._smooth:
            landmarks = _filtered(track, landmarks, interval)
        height, width = picture.shape[:2]
        seen = observation(landmarks, width, height)
        confidence = seen.confidence * track.reading.chance
        return FaceObservation(landmarks, confidence, seen.box, track=track.number)

    def reset(self) -> None:
        self._tracks = []
        self._time, self._looked = 0.0, float("-inf")

    def close(self) -> None:
        self._detector.close()
        self._landmarker.close()
        self._details.close()


def _filtered(track: _Track, landmarks: F32, interval: float) -> F32:
    """Smooth in units of the face's size at first: near and far faces alike."""
    scaled = landmarks.astype(np.float64) * track.scale
    for part, smooth in ((_QUICK_POINTS, track.quick), (~_QUICK_POINTS, track.slow)):
        scaled[part] = smooth(scaled[part].ravel(), interval).reshape(-1, 3)
    return (scaled / track.scale).astype(np.float32)


def _apart(tracks: list[_Track]) -> list[_Track]:
    """Keep one of two tracks that follow one face.

    When somebody walks past in front, the track of who is behind slides over: it is the one whose
    motion surprised. Of two that move alike the younger goes.
    """
    kept: list[_Track] = []
    for track in tracks:
        rival = next((k for k in kept if overlap(track.place, k.place) > MERGED), None)
        if rival is None:
            kept.append(track)
        elif rival.surprise > track.surprise + SURPRISED:
            kept[kept.index(rival)] = track
    return kept
