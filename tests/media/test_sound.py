# SPDX-License-Identifier: Apache-2.0
"""Sources and sinks of sound, noise suppression, and a sound card that is none."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from talkcodec.errors import InputError, MissingDependency
from talkcodec.media.denoise import Denoiser, denoised
from talkcodec.media.opus import LOOKAHEAD, OpusEncoder
from talkcodec.media.sound import (
    BLOCK,
    RATE,
    SoundBlock,
    SoundReader,
    SoundWriter,
    audio_frame,
    mono,
    silence,
    tone,
)

ROOT = Path(__file__).parents[2]

# A device that takes everything and gives silence: real PortAudio, real ALSA, no hardware.
NULL_DEVICE = "pcm.!default { type null }\nctl.!default { type null }\n"
CARD = """
from talkcodec.media.soundcard import WAITING, Microphone, Speaker
from talkcodec.media.sound import tone

with Speaker() as speaker:
    for block in tone(2.0):
        speaker.play(block)
    print(0 < speaker.latency < 1, speaker.dropped >= 0)
with Microphone() as microphone:
    heard = iter(microphone)
    blocks = [next(heard) for _ in range(5)]
    times = [block.time for block in blocks]
    print(all(len(block.samples) == 960 for block in blocks), times == sorted(times))
    microphone.close()
    print(sum(1 for _ in heard) <= WAITING)
"""


def loudness(samples: np.ndarray) -> float:
    return float(np.abs(samples.astype(np.float64)).mean())


def test_a_tone_lasts_as_long_as_asked_and_has_its_frequency() -> None:
    blocks = list(tone(1.0, 1000))
    samples = np.concatenate([block.samples for block in blocks])
    assert len(blocks) == 50
    assert [block.time for block in blocks[:3]] == [0.0, 0.02, 0.04]
    assert np.argmax(np.abs(np.fft.rfft(samples))) == 1000
    assert loudness(np.concatenate([block.samples for block in silence(0.1)])) == 0


@pytest.mark.parametrize("name", ["sound.wav", "sound.ogg", "sound.m4a"])
def test_a_file_gives_back_what_was_played_into_it(tmp_path: Path, name: str) -> None:
    with SoundWriter(tmp_path / name) as writer:
        for block in tone(1.0, 500):
            writer.play(block)
    with SoundReader(tmp_path / name) as reader:
        blocks = list(reader)
    assert all(block.samples.shape == (BLOCK,) for block in blocks[:-1])
    samples = np.concatenate([block.samples for block in blocks])
    assert abs(len(samples) - RATE) < 2500  # codecs add some at either end
    peak = np.argmax(np.abs(np.fft.rfft(samples[9600:33600]))) * RATE / 24000
    assert abs(peak - 500) < 5
    assert abs(blocks[10].time - blocks[0].time - 0.2) < 1e-6


def test_the_sound_of_a_video_file_counts_from_its_first_picture(tmp_path: Path) -> None:
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.width = video.height = 64
        audio = container.add_stream("pcm_s16le", rate=RATE)
        audio.layout = "mono"
        for tick in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = tick + 5, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for number, block in enumerate(tone(0.4)):
            container.mux(audio.encode(audio_frame(block.samples, 24_000 + number * BLOCK)))
        container.mux(audio.encode(None))
    with SoundReader(path) as reader:
        first = next(iter(reader))
    assert abs(first.time - (0.5 - 0.2)) < 0.03


def test_files_without_sound_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    for name, message in (("text.wav", "expected a file with sound"), ("no.wav", "no.wav")):
        with pytest.raises(InputError, match=message):
            SoundReader(tmp_path / name)
    with pytest.raises(InputError, match="expected a sound file to write"):
        SoundWriter(tmp_path / "sound.nothing")


def test_channels_are_averaged() -> None:
    stereo = np.stack([np.full(4, 100), np.full(4, -40)], axis=1).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(stereo.reshape(1, -1), "s16", "stereo")
    assert mono(frame).tolist() == [30] * 4


def test_opus_keeps_its_rate_and_lags_by_its_lookahead() -> None:
    encoder = OpusEncoder(16_000)
    rng = np.random.default_rng(0)
    click = np.zeros(20 * BLOCK, np.int16)
    click[5 * BLOCK : 5 * BLOCK + 400] = 20_000 * np.sin(np.arange(400) * 0.2)
    click = (click + rng.normal(0, 20, len(click))).astype(np.int16)
    packets = [encoder.encode(part) for part in click.reshape(-1, BLOCK)]
    assert sum(map(len, packets)) * 8 / 0.4 < 1.3 * 16_000
    decoder = av.CodecContext.create("libopus", "r")
    out = np.concatenate([mono(f) for p in packets for f in decoder.decode(av.Packet(p))])
    pattern = click[5 * BLOCK : 5 * BLOCK + 400].astype(float)
    match = [np.dot(pattern, out[5 * BLOCK + lag :][:400]) for lag in range(1000)]
    assert abs(int(np.argmax(match)) - LOOKAHEAD) <= 4
    with pytest.raises(ValueError, match="expected 960 samples"):
        encoder.encode(click[:5])


@pytest.mark.skipif(importlib.util.find_spec("pyrnnoise") is None, reason="an extra: denoise")
def test_noise_becomes_quieter_and_blocks_keep_their_times() -> None:
    rng = np.random.default_rng(0)
    noisy = [
        SoundBlock(rng.normal(0, 1500, BLOCK).astype(np.int16), number / 50)
        for number in range(100)
    ]
    clean = list(denoised(noisy))
    assert [block.time for block in clean] == [block.time for block in noisy]
    assert loudness(clean[-1].samples) < 0.2 * loudness(noisy[-1].samples)
    with Denoiser() as denoiser, pytest.raises(ValueError, match="multiple of 480"):
        denoiser.process(np.zeros(100, np.int16))


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from talkcodec.media import denoise, soundcard

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingDependency, match=r"talkcodec\[audio\]"):
        soundcard.Microphone()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    denoise._library.cache_clear()
    with pytest.raises(MissingDependency, match=r"talkcodec\[denoise\]"):
        Denoiser()


def portaudio() -> bool:
    """Return whether PortAudio can be loaded, as ALSA alone can be pointed at a null device."""
    try:
        import sounddevice
    except (ImportError, OSError):
        return False
    return any(api["name"] == "ALSA" for api in sounddevice.query_hostapis())


@pytest.mark.skipif(not portaudio(), reason="needs sounddevice, PortAudio and ALSA")
def test_a_sound_card_plays_and_hears(tmp_path: Path) -> None:
    (tmp_path / "asound.conf").write_text(NULL_DEVICE)
    done = subprocess.run(
        [sys.executable, "-c", CARD],
        cwd=ROOT,
        env=os.environ | {"ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["True"] * 5


@pytest.mark.skipif(not portaudio(), reason="needs sounddevice, PortAudio and ALSA")
def test_a_device_that_is_not_there_is_told_in_one_line() -> None:
    from talkcodec.media.soundcard import Microphone, Speaker

    for open_one, what in ((Speaker, "speaker"), (Microphone, "microphone")):
        with pytest.raises(InputError, match=f"expected a {what}, found none"):
            open_one("no device of that name")
