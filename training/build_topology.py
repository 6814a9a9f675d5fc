# SPDX-License-Identifier: Apache-2.0
"""Build the triangles over the landmarks: ``python -m training.build_topology``.

The skin is the tessellation that MediaPipe publishes; eyes (with irises) are triangulated on the
mean shape, the mouth as a strip between the inner lips. All are wound alike in a frontal face.
"""

from __future__ import annotations

import argparse
from collections import defaultdict, deque
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from safetensors.numpy import save_file

from talkcodec import weights
from talkcodec.motion.landmarks import LEFT_EYE, LEFT_IRIS, LIPS_INNER, RIGHT_EYE, RIGHT_IRIS
from talkcodec.types import F64, I32
from training.fit_tables import update_manifest

_SCALE = 1000.0  # OpenCV's subdivision works on a grid


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=weights.FOLDER / "topology.safetensors")
    args = parser.parse_args()
    mean = weights.shape_model().mean
    parts = build(mean)
    save_file(parts, args.out)
    args.out.chmod(0o644)
    update_manifest(args.out.parent)
    print(f"{args.out}: " + ", ".join(f"{len(v)} {name}" for name, v in parts.items()))


def build(mean: F64) -> dict[str, I32]:
    """Return the triangles, int32 (n, 3), of skin, eyes and mouth for the ``mean`` (478, 3)."""
    eyes = [hole(mean, LEFT_EYE, LEFT_IRIS), hole(mean, RIGHT_EYE, RIGHT_IRIS)]
    return {"skin": skin(mean), "eyes": np.concatenate(eyes), "mouth": mouth(mean)}


def skin(mean: F64) -> I32:
    """Return MediaPipe's tessellation, whose edges come three a triangle, consistently wound."""
    from mediapipe.tasks.python.vision import FaceLandmarksConnections

    edges = FaceLandmarksConnections.FACE_LANDMARKS_TESSELATION
    flat = [sorted({e.start for e in edges[i : i + 3]}) for i in range(0, len(edges), 3)]
    triangles = np.array(flat, np.int32)
    # Begin at the triangle nearest the camera, which surely faces it, and go from edge to edge:
    # by projection alone, folds at the nostrils would come out wrong.
    start = int(mean[triangles].mean(1)[:, 2].argmin())
    triangles[start] = wind(triangles[start : start + 1], mean[:, :2])[0]
    by_edge: defaultdict[frozenset[int], list[int]] = defaultdict(list)
    for index, triangle in enumerate(triangles.tolist()):
        for a, b in _edges(triangle):
            by_edge[frozenset((a, b))].append(index)
    seen, queue = {start}, deque([start])
    while queue:
        for a, b in _edges(triangles[queue.popleft()].tolist()):
            for other in by_edge[frozenset((a, b))]:
                if other not in seen:
                    if (a, b) in _edges(triangles[other].tolist()):
                        triangles[other] = triangles[other][[0, 2, 1]]
                    seen.add(other)
                    queue.append(other)
    return triangles


def hole(mean: F64, contour: Sequence[int], inner: Sequence[int]) -> I32:
    """Return the Delaunay triangles of ``contour`` and ``inner`` that lie within the contour."""
    index = np.array([*contour, *inner])
    points = (mean[index, :2] * _SCALE).astype(np.float32)
    low, high = points.min(0) - 10, points.max(0) + 10
    plane = cv2.Subdiv2D((int(low[0]), int(low[1]), *np.ceil(high - low).astype(int).tolist()))
    for x, y in points.tolist():
        plane.insert((x, y))
    outline = (mean[list(contour), :2] * _SCALE).astype(np.float32)
    kept = []
    for corners in np.asarray(plane.getTriangleList(), np.float32).reshape(-1, 3, 2):
        gaps = np.linalg.norm(points[None] - corners[:, None], axis=2)
        middle = tuple(corners.mean(0).tolist())
        if gaps.min(1).max() < 0.5 and cv2.pointPolygonTest(outline, middle, False) > 0:
            kept.append(index[gaps.argmin(1)])
    return wind(np.array(kept, np.int32), mean[:, :2])


def mouth(mean: F64) -> I32:
    """Return a strip of triangles between the inner lips, wound for an open mouth."""
    count = len(LIPS_INNER) // 2
    low = LIPS_INNER[: count + 1]
    up = (LIPS_INNER[0], *LIPS_INNER[:count:-1], LIPS_INNER[count])
    strip = []
    for i in range(count):
        strip += [(up[i], up[i + 1], low[i]), (up[i + 1], low[i + 1], low[i])]
    opened = mean[:, :2].copy()
    opened[list(up[1:-1]), 1] -= 0.1
    opened[list(low[1:-1]), 1] += 0.1
    return wind(np.array([t for t in strip if len(set(t)) == 3], np.int32), opened)


def wind(triangles: I32, points: F64) -> I32:
    """Return ``triangles`` (n, 3), each turned to have positive area over ``points`` (478, 2)."""
    corner = points[triangles]
    a, b = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    flip = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
    out = triangles.copy()
    out[flip] = out[flip][:, [0, 2, 1]]
    return out


def _edges(triangle: Sequence[int]) -> list[tuple[int, int]]:
    a, b, c = triangle
    return [(a, b), (b, c), (c, a)]


if __name__ == "__main__":
    main()
