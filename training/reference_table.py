# SPDX-License-Identifier: Apache-2.0
"""What a reference picture costs and how good it is, by codec and quantiser.

    python -m training.reference_table --out runs/references.json --markdown references.md

Stills are the first frames of the val clips of at least 4 s and, for chains, the frames at a
quarter, a half and three quarters of each clip. Bytes are those of a reference message's
picture field. Two tables come out: every picture coded by itself, as decoded and as the restorer
shows it, and the second to fourth picture of a clip coded as the next of a chain or as a key
picture.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import Image

from talkcodec.metrics import Clip, Suite, open_metrics
from talkcodec.reference.av1 import Av1PictureDecoder, Av1PictureEncoder
from talkcodec.reference.codec import EncodedPicture
from talkcodec.reference.webp import WebPDecoder, WebPEncoder
from talkcodec.render.restore import Restorer
from talkcodec.types import U8
from training.corpus import DATA, canvas, clips, pictures

T = TypeVar("T")

#: Bytes, decoded picture, milliseconds to encode and to decode.
Coded = tuple[int, U8, float, float]

AV1_QUALITIES = (90, 115, 120, 150, 180, 210)
CHAIN_QUALITIES = (120, 150, 180)
MATCHED_LPIPS = (0.08, 0.06, 0.05, 0.04, 0.03)
METRICS = ("lpips", "dists", "psnr")


@dataclass(frozen=True, slots=True)
class Row:
    """Means over all pictures. ``quality`` is on the codec's own scale; times in ms."""

    codec: str
    side: int
    quality: int
    bytes: float
    lpips: float
    dists: float
    psnr: float
    encode_ms: float
    decode_ms: float


def av1(picture: U8, quality: int) -> Coded:
    """Code ``picture`` as a key picture of our own AV1 codec."""
    side = picture.shape[0]
    encoder = Av1PictureEncoder(side, key_quality=quality, inter_quality=quality)
    coded, spent = _timed(lambda: encoder.encode(picture))
    encoder.close()
    return _decoded(coded, spent, Av1PictureDecoder(side))


def restored(picture: U8, quality: int) -> Coded:
    """Code ``picture`` likewise, shown as a receiver draws from it."""
    size, shown, spent, waited = av1(picture, quality)
    better, more = _timed(lambda: _restorer()(shown))
    return size, better, spent, waited + more


@cache
def _restorer() -> Restorer:
    return Restorer()


def webp(picture: U8, quality: int) -> Coded:
    """Code ``picture`` with our WebP fallback."""
    side = picture.shape[0]
    coded, spent = _timed(lambda: WebPEncoder(side, quality).encode(picture))
    return _decoded(coded, spent, WebPDecoder(side))


def pillow(name: str, **options: object) -> Callable[[U8, int], Coded]:
    """Return a coder that writes whole files of Pillow's format ``name``, for comparison."""

    def code(picture: U8, quality: int) -> Coded:
        def encode() -> bytes:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, name, quality=quality, **options)
            return buffer.getvalue()

        data, spent = _timed(encode)
        shown, waited = _timed(lambda: np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
        return len(data), shown, spent, waited

    return code


CODERS: dict[str, tuple[Callable[[U8, int], Coded], tuple[int, ...]]] = {
    "av1": (av1, AV1_QUALITIES),
    "av1, restored": (restored, AV1_QUALITIES),
    "webp": (webp, (5, 20, 45, 75)),
    "avif": (pillow("AVIF", speed=6, max_threads=1), (20, 35, 50, 65)),
    "jpeg": (pillow("JPEG", optimize=True), (15, 30, 50, 80)),
}


def key_rows(stills: Sequence[U8], codecs: Sequence[str], suite: Suite) -> Iterator[Row]:
    """Yield a row per codec and quality for ``stills``, each coded by itself."""
    source = suite.against(Clip(stills, Fraction(1)), every=1)
    for codec in codecs:
        code, qualities = CODERS[codec]
        for quality in qualities:
            coded = [code(picture, quality) for picture in stills]
            scores = source.score(Clip([shown for _, shown, _, _ in coded], Fraction(1)))
            means = {name: float(np.mean(scores[name])) for name in METRICS}
            row = Row(
                codec,
                stills[0].shape[0],
                quality,
                float(np.mean([size for size, *_ in coded])),
                encode_ms=float(np.median([spent for *_, spent, _ in coded])),
                decode_ms=float(np.median([waited for *_, waited in coded])),
                **means,
            )
            print(row, file=sys.stderr)
            yield row


def chain_rows(series: Sequence[Sequence[U8]], suite: Suite) -> Iterator[Row]:
    """Yield rows of the second to last picture of each series, as inter and as key pictures.

    The key picture before them has the default quality, whatever theirs is.
    """
    later = [picture for pictures in series for picture in pictures[1:]]
    source = suite.against(Clip(later, Fraction(1)), every=1)
    for kind in ("inter", "key"):
        for quality in CHAIN_QUALITIES:
            coded = [c for pictures in series for c in _chain(pictures, quality, kind=kind)]
            scores = source.score(Clip([shown for _, shown, _, _ in coded], Fraction(1)))
            row = Row(
                f"av1 {kind}",
                later[0].shape[0],
                quality,
                float(np.mean([size for size, *_ in coded])),
                encode_ms=float(np.median([spent for *_, spent, _ in coded])),
                decode_ms=float(np.median([waited for *_, waited in coded])),
                **{name: float(np.mean(scores[name])) for name in METRICS},
            )
            print(row, file=sys.stderr)
            yield row


def _chain(pictures: Sequence[U8], quality: int, *, kind: str) -> list[Coded]:
    side = pictures[0].shape[0]
    encoder = Av1PictureEncoder(side, inter_quality=quality)
    decoder = Av1PictureDecoder(side)
    decoder.decode(encoder.encode(pictures[0]).data, key=True)
    out = []
    for picture in pictures[1:]:
        if kind == "key":
            out.append(av1(picture, quality))
            continue
        started = time.perf_counter()
        coded = encoder.encode(picture)
        spent = 1e3 * (time.perf_counter() - started)
        out.append(_decoded(coded, spent, decoder))
    encoder.close()
    return out


def bytes_at(rows: Sequence[Row], lpips: float) -> float:
    """Return the bytes at which ``rows`` reach ``lpips``, log-linear between them, else NaN."""
    ordered = sorted(rows, key=lambda row: row.lpips)
    if not ordered or not ordered[0].lpips <= lpips <= ordered[-1].lpips:
        return math.nan
    distances = np.log([row.lpips for row in ordered])
    sizes = np.log([row.bytes for row in ordered])
    return float(np.exp(np.interp(math.log(lpips), distances, sizes)))


def markdown(rows: Sequence[Row]) -> str:
    """Return all tables as Markdown."""
    lines = ["# Reference pictures", "", "Written by `python -m training.reference_table`.", ""]
    for side in sorted({row.side for row in rows}):
        here = [row for row in rows if row.side == side]
        names = list(dict.fromkeys(row.codec for row in here))
        lines += [f"## {side} × {side}: bytes for the same LPIPS", ""]
        lines += ["| codec | " + " | ".join(f"{x:.2f}" for x in MATCHED_LPIPS) + " |"]
        lines += ["|---|" + "---:|" * len(MATCHED_LPIPS)]
        for name in names:
            sizes = [bytes_at([r for r in here if r.codec == name], x) for x in MATCHED_LPIPS]
            cells = ("outside" if math.isnan(size) else f"{size:.0f}" for size in sizes)
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines += ["", "| codec | quality | bytes | LPIPS | DISTS | PSNR | encode ms | decode ms |"]
        lines += ["|---|" + "---:|" * 7]
        lines += [
            f"| {r.codec} | {r.quality} | {r.bytes:.0f} | {r.lpips:.4f} | {r.dists:.4f} "
            f"| {r.psnr:.1f} | {r.encode_ms:.1f} | {r.decode_ms:.1f} |"
            for r in here
        ]
        lines.append("")
    return "\n".join(lines)


def load(data: Path, side: int, *, upscale: bool) -> list[list[U8]]:
    """Return four pictures of every val clip of at least 4 s, evenly spread over it.

    Clips smaller than ``side`` are left out unless ``upscale``.
    """
    series = []
    for clip in clips(data, "val", seconds=4):
        frames = pictures(clip)
        if min(frames[0].shape[:2]) < side and not upscale:
            continue
        series.append([canvas(frames[len(frames) * i // 4], side) for i in range(4)])
    return series


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    return result, 1e3 * (time.perf_counter() - started)


def _decoded(
    coded: EncodedPicture, spent: float, decoder: Av1PictureDecoder | WebPDecoder
) -> Coded:
    started = time.perf_counter()
    shown = decoder.decode(coded.data, key=coded.key)
    return len(coded.data), shown, spent, 1e3 * (time.perf_counter() - started)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=DATA, help="folder of the clips")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--markdown", type=Path, help="Markdown file to write as well")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    suite = open_metrics(METRICS)
    rows: list[Row] = []
    for side, codecs in ((256, tuple(CODERS)), (512, ("av1", "av1, restored", "webp"))):
        series = load(arguments.data, side, upscale=side == 256)
        rows += key_rows([pictures[0] for pictures in series], codecs, suite)
        rows += chain_rows(series, suite)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(markdown(rows))


if __name__ == "__main__":
    main()
