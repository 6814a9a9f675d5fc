# SPDX-License-Identifier: Apache-2.0
"""Every engine gives torch's numbers, the same ones each time, and says what it cannot do."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import platform
import struct
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from talkcodec.errors import InputError, MissingDependency, WeightsError
from talkcodec.render.engine import (
    FORMATS,
    Engine,
    EngineName,
    Precision,
    choose,
    installed,
    open_engine,
    precisions,
)
from talkcodec.render.engine import torch as torch_engine
from talkcodec.types import F32, U8

SIDE = 64
NAMES: tuple[EngineName, ...] = ("openvino", "onnxruntime", "torch")

#: How far outputs, which vary by 0.08, may be from torch's: other orders of summation and Winograd.
#: Found on a processor with AVX-512: 2e-7.
F32_TOLERANCE = 5e-6
#: In bf16 what a convolution takes has 8 bits. Found: OpenVINO 0.0018, torch 0.0027.
BF16_TOLERANCE = 1e-2


class SmallNet(nn.Module):
    """A picture in, as bytes and channels last, with a number; a map and a vector out."""

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, width, 5, 2, 2), nn.BatchNorm2d(width), nn.ReLU())
        self.body = nn.Sequential(nn.Conv2d(width, width, 3, 2, 1), nn.ReLU())
        self.again = nn.Conv2d(width, width, 3, 1, 1)
        self.head = nn.Linear(width * (SIDE // 4) ** 2, 10)

    def forward(self, picture: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
        x = picture.permute(0, 3, 1, 2).float() * (1 / 127.5) - 1
        x = self.body(self.stem(x))
        x = torch.relu(x + self.again(x))
        return x, self.head(x.flatten(1)) * gain


@dataclass(frozen=True)
class Exported:
    """The same network as ONNX and as safetensors, an input, and what torch makes of it."""

    onnx: bytes
    safetensors: bytes
    inputs: dict[str, F32 | U8]
    outputs: dict[str, F32]

    def file(self, engine: str) -> bytes:
        return self.safetensors if FORMATS[engine] == ".safetensors" else self.onnx

    def open(self, engine: EngineName, precision: Precision = "f32") -> Engine:
        return open_engine(self.file(engine), name=engine, precision=precision)


def to_onnx(network: nn.Module, inputs: tuple[Tensor, ...], **options: Any) -> bytes:
    file: Any = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter that needs no onnxscript is deprecated
        torch.onnx.export(
            network.eval(), inputs, file, dynamo=False, opset_version=17, verbose=False, **options
        )
    return bytes(file.getvalue())


def pack(network: nn.Module, name: str = "small", width: int = 16) -> bytes:
    return torch_engine.pack_network(
        name,
        network,
        arguments={"width": width},
        inputs={"picture": ("uint8", (1, SIDE, SIDE, 3)), "gain": ("float32", (1,))},
        outputs={"features": ("float32", (1, 16, 16, 16)), "points": ("float32", (1, 10))},
    )


@pytest.fixture(scope="module")
def network() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return SmallNet(width=16).eval()


@pytest.fixture(scope="module")
def exported(network: nn.Module) -> Exported:
    random = torch.Generator().manual_seed(5)
    picture = torch.randint(0, 256, (1, SIDE, SIDE, 3), dtype=torch.uint8, generator=random)
    gain = torch.tensor([1.5])
    with torch.inference_mode():
        features, points = network(picture, gain)
    names = {"input_names": ["picture", "gain"], "output_names": ["features", "points"]}
    return Exported(
        to_onnx(network, (picture, gain), **names),
        pack(network),
        {"picture": np.asarray(picture), "gain": np.asarray(gain)},
        {"features": np.asarray(features), "points": np.asarray(points)},
    )


@pytest.fixture(autouse=True)
def _small_is_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(torch_engine.NETWORKS, "small", f"{__name__}:SmallNet")


def worst(found: dict[str, Any], wanted: dict[str, F32]) -> float:
    assert found.keys() == wanted.keys()
    return max(float(np.abs(found[name] - wanted[name]).max()) for name in wanted)


@pytest.mark.parametrize("name", NAMES)
def test_every_engine_gives_the_numbers_of_torch(exported: Exported, name: EngineName) -> None:
    engine = exported.open(name)
    assert (engine.name, engine.precision) == (name, "f32")
    assert engine.inputs == {"picture": (1, SIDE, SIDE, 3), "gain": (1,)}
    assert engine.outputs == {"features": (1, 16, 16, 16), "points": (1, 10)}
    assert engine.signature.types["picture"] == np.uint8
    found = engine.run(exported.inputs)
    assert {array.dtype for array in found.values()} == {np.dtype(np.float32)}
    assert min(array.std() for array in exported.outputs.values()) > 0.05
    assert worst(found, exported.outputs) < F32_TOLERANCE


@pytest.mark.parametrize("name", NAMES)
def test_bf16_is_close_where_the_processor_has_it_and_refused_elsewhere(
    exported: Exported, name: EngineName
) -> None:
    if "bf16" not in precisions(name):
        with pytest.raises(InputError, match=f"expected f32 in {name}"):
            exported.open(name, "bf16")
        return
    engine = exported.open(name, "bf16")
    assert engine.precision == "bf16"
    error = worst(engine.run(exported.inputs), exported.outputs)
    assert F32_TOLERANCE < error < BF16_TOLERANCE


def test_auto_precision_is_what_the_engine_says(exported: Exported) -> None:
    assert exported.open("openvino", "auto").precision == precisions("openvino")[-1]
    assert exported.open("onnxruntime", "auto").precision == "f32"
    assert exported.open("torch", "auto").precision == "f32"


@pytest.mark.parametrize("precision", ["f32", "auto"])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bits(
    exported: Exported, name: EngineName, precision: Precision
) -> None:
    one, other = exported.open(name, precision), exported.open(name, precision)
    first = {key: value.copy() for key, value in one.run(exported.inputs).items()}
    one.run({**exported.inputs, "picture": 255 - exported.inputs["picture"]})
    for again in (one.run(exported.inputs), other.run(exported.inputs)):
        for key, value in first.items():
            np.testing.assert_array_equal(value, again[key])


@pytest.mark.parametrize("name", NAMES)
def test_results_stay_until_the_next_run_and_inputs_as_they_were(
    exported: Exported, name: EngineName
) -> None:
    engine = exported.open(name)
    frame = np.zeros((1, SIDE, 2 * SIDE, 3), np.uint8)
    frame[:, :, SIDE:] = exported.inputs["picture"]
    crop = frame[:, :, SIDE:]  # a view into a larger picture, as crops are
    crop.flags.writeable = False
    first, another = engine.run({**exported.inputs, "picture": crop}), exported.open(name)
    another.run({**exported.inputs, "gain": np.array([-7], np.float32)})
    another.close()
    assert worst(first, exported.outputs) < F32_TOLERANCE
    for value in first.values():
        value.fill(7)
    last = engine.run(exported.inputs)
    engine.close()
    assert worst(last, exported.outputs) < F32_TOLERANCE
    np.testing.assert_array_equal(crop, exported.inputs["picture"])


@pytest.mark.parametrize("name", NAMES)
def test_engines_of_several_threads_do_not_disturb_each_other(
    exported: Exported, name: EngineName
) -> None:
    def work(gain: int) -> list[dict[str, Any]]:
        engine = exported.open(name)
        given = {**exported.inputs, "gain": np.array([gain], np.float32)}
        return [engine.run(given) for _ in range(20)]

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(work, [1, 2, 3]))
    for gain, found in zip([1, 2, 3], results, strict=True):
        wanted = {**exported.outputs, "points": exported.outputs["points"] / 1.5 * gain}
        assert max(worst(one, wanted) for one in found) < 2 * F32_TOLERANCE


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_works_in_the_thread_that_calls_it_and_pins_nothing(
    exported: Exported, name: EngineName, tmp_path: Path
) -> None:
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from talkcodec.render.engine import open_engine\n"
        "cores = os.sched_getaffinity(0)\n"
        "engine = open_engine(Path(sys.argv[1]).read_bytes(), name=sys.argv[2])\n"
        "for _ in range(300):\n"
        "    engine.run(engine.signature.zeros())\n"
        "for task in Path('/proc/self/task').iterdir():\n"
        "    assert os.sched_getaffinity(int(task.name)) == cores\n"
        "    ticks = (task / 'stat').read_text().rsplit(')', 1)[1].split()[11:13]\n"
        "    print(task.name == str(os.getpid()), sum(map(int, ticks)))\n"
        "assert 'torch' not in sys.modules\n"
    )
    path = tmp_path / "small.onnx"
    path.write_bytes(exported.onnx)
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {key: value for key, value in os.environ.items() if key != "CI"} | home
    done = subprocess.run(
        [sys.executable, "-c", program, str(path), name],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    spent = [line.split() for line in done.stdout.splitlines()]
    assert sum(int(ticks) for main, ticks in spent if main == "False") <= 1
    assert [file.name for file in tmp_path.iterdir()] == ["small.onnx"], "no cache is written"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gain": None}, "expected the inputs"),
        ({"more": np.zeros(1, np.float32)}, "expected the inputs"),
        ({"gain": np.zeros(2, np.float32)}, r"gain: expected float32 \(1,\), found float32 \(2,\)"),
        ({"gain": np.zeros(1)}, r"gain: expected float32 \(1,\), found float64"),
    ],
)
def test_wrong_inputs_are_told_in_one_line(
    exported: Exported, name: EngineName, change: dict[str, Any], message: str
) -> None:
    given = {k: v for k, v in {**exported.inputs, **change}.items() if v is not None}
    with pytest.raises(ValueError, match=message) as told:
        exported.open(name).run(given)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_closed_engine_says_so(exported: Exported, name: EngineName) -> None:
    engine = exported.open(name)
    engine.close()
    engine.close()
    with pytest.raises(ValueError, match="found a closed one"):
        engine.run(exported.inputs)


@pytest.mark.parametrize("name", NAMES)
def test_other_files_are_refused_in_one_line(exported: Exported, name: EngineName) -> None:
    other = exported.onnx if name == "torch" else exported.safetensors
    cut = exported.file(name)[: len(exported.file(name)) // 2]
    for model in (b"", b"nonsense" * 9, other, cut):
        with pytest.raises(WeightsError, match="expected") as told:
            open_engine(model, name=name)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_network_of_any_size_is_refused(name: EngineName) -> None:
    model = to_onnx(
        nn.Conv2d(3, 4, 3),
        (torch.zeros(1, 3, 8, 8),),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {2: "height"}},
    )
    with pytest.raises(WeightsError, match="x: expected a network exported with fixed sizes"):
        open_engine(model, name=name)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_outputs_keep_their_names_where_one_is_used_inside_too(name: EngineName) -> None:
    class Chain(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            one = torch.relu(x)
            return one, one * 2, one * 1

    names = {"input_names": ["x"], "output_names": ["c", "a", "b"]}
    engine = open_engine(to_onnx(Chain(), (torch.zeros(1, 4),), **names), name=name)
    found = engine.run({"x": np.array([[-1, 0, 1, 2]], np.float32)})
    assert list(found) == ["c", "a", "b"]
    np.testing.assert_array_equal(found["c"], [[0, 0, 1, 2]])
    np.testing.assert_array_equal(found["a"], [[0, 0, 2, 4]])
    np.testing.assert_array_equal(found["b"], [[0, 0, 1, 2]])


def test_auto_is_openvino_on_x86_and_onnx_runtime_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    for machine, absent, chosen in [
        ("x86_64", "", "openvino"),
        ("AMD64", "", "openvino"),
        ("x86_64", "openvino", "onnxruntime"),
        ("aarch64", "", "onnxruntime"),
        ("arm64", "onnxruntime", "openvino"),
    ]:
        monkeypatch.setattr(platform, "machine", lambda machine=machine: machine)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda n, gone=absent: None if n == gone else find(n)
        )
        assert choose("auto") == chosen
        assert set(installed()) == set(NAMES) - {absent}


def test_what_is_missing_or_unknown_is_told(
    exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown: Any = "tensorflow"
    with pytest.raises(InputError, match=r"expected an engine of auto, .* tensorflow"):
        open_engine(exported.onnx, name=unknown)
    with pytest.raises(InputError, match="expected a precision of auto, f32 or bf16, found tensor"):
        open_engine(exported.onnx, precision=unknown)
    with pytest.raises(InputError, match="expected 1 thread or more, found 0"):
        open_engine(exported.onnx, threads=0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name in NAMES:
        with pytest.raises(MissingDependency, match=f"expected the package {name}.*, found none"):
            open_engine(exported.file(name), name=name)
    with pytest.raises(MissingDependency, match="onnxruntime or openvino, found neither"):
        open_engine(exported.onnx)
    assert installed() == {}


def test_every_name_has_a_format() -> None:
    assert set(get_args(EngineName)) == {"auto", *FORMATS}


def test_weights_stored_in_half_the_bytes_run_as_well(exported: Exported) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        half = pack(SmallNet(width=16).half())
    assert len(half) < 0.52 * len(exported.safetensors) + 1000
    error = worst(open_engine(half, name="torch").run(exported.inputs), exported.outputs)
    assert error < 2e-3


def test_torch_gives_the_number_of_threads_back(exported: Exported) -> None:
    before = torch.get_num_threads()
    engine = open_engine(exported.safetensors, name="torch", threads=before + 1)
    engine.run(exported.inputs)
    assert torch.get_num_threads() == before


def header(about: object) -> bytes:
    text = json.dumps({"__metadata__": {"talkcodec": json.dumps(about)}}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (struct.pack("<Q", 1 << 60) + b"{", "expected a safetensors file"),
        (struct.pack("<Q", 2) + b"{}", "expected a file of pack_network"),
        (header([]), "expected a file of pack_network"),
        (header({"network": "small"}), "found no arguments"),
        (
            header({"network": "os:system", "arguments": {}, "inputs": [], "outputs": []}),
            r"expected a network of \[.*'small', 'tracker'\], found os:system",
        ),
        (
            header({"network": "small", "arguments": {}, "inputs": [], "outputs": []}),
            "small: expected its arguments",
        ),
    ],
)
def test_torch_runs_no_file_but_its_own(model: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        open_engine(model, name="torch")


def test_torch_refuses_the_weights_of_another_network() -> None:
    with pytest.raises(WeightsError, match="small: expected its weights, found"):
        open_engine(pack(SmallNet(width=8)), name="torch")


@pytest.mark.parametrize("name", NAMES)
def test_engines_leave_the_arithmetic_of_the_process_alone(
    exported: Exported, name: EngineName
) -> None:
    engine = exported.open(name)
    engine.run(exported.inputs)
    # The smallest normal number: halved it is 0 where denormals are flushed, for whoever runs next.
    assert 2.2250738585072014e-308 / 2 > 0
    assert np.float32(1.1754944e-38) * np.float32(0.5) > 0
    engine.close()
