# SPDX-License-Identifier: Apache-2.0
"""What is exported is what was trained: every engine, the bytes, and where it came from."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from typer.testing import CliRunner

from talkcodec import weights
from talkcodec.cli.main import app
from talkcodec.errors import InputError
from talkcodec.models.detector import DetectorNet
from talkcodec.models.generator import GeneratorNet
from talkcodec.models.tracker import TrackerNet
from talkcodec.render.engine import FORMATS, EngineName, open_engine
from training import export as exporting
from training.checkpoint import save_best
from training.export import export
from training.fold import fold, without_norms
from training.graph import to_onnx
from training.parity import check_parity, views
from training.task import TASKS

#: Where networks are small, engines may differ in the order of summation only. Found: 1e-6.
TOLERANCE = 2e-5

PART = {"frames": 40, "clips": 3, "people": 2, "licences": ["MIT", "CC-BY-4.0"]}


def small(name: str) -> Any:
    """Return a network as training leaves one: no statistic is what it was at the start."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        network: Any = (
            TrackerNet(basis=5, fine_points=(1, 4, 470), widths=(4, 6, 8, 8, 6))
            if name == "tracker"
            else DetectorNet(widths=(4, 6, 8, 8))
        )
        for tensor in network.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim == 1:
                tensor.uniform_(0.5, 1.5)
        nn.init.normal_(network.correction.weight if name == "tracker" else network.head.weight)
    return network.eval()


def make_run(folder: Path, name: str = "tracker", **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    network = small(name)
    about = {"step": "70", "score": "0.25", "network": name} | {
        "arguments": json.dumps(network.arguments)
    }
    save_best(folder, network, about)
    data = {"train": PART | changes, "validate": PART | {"people": 1, "licences": ["MIT"]}}
    (folder / "run.json").write_text(json.dumps({"data": data}))
    return folder


def outputs(network: Any, picture: Any) -> dict[str, Any]:
    with torch.no_grad():
        found = network(torch.from_numpy(picture))
    return dict(zip(network.export_outputs(), (f.numpy() for f in found), strict=True))


@pytest.mark.parametrize("name", ["tracker", "detector"])
def test_every_engine_computes_what_was_trained(tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    done = export(make_run(tmp_path / "run", name), out, samples=3)
    trained = small(name)
    given = views(trained, 6)
    engines: dict[EngineName, Any] = {
        engine: open_engine(
            (out / (name + FORMATS[engine])).read_bytes(), name=engine, precision="f32"
        )
        for engine in ("torch", "openvino", "onnxruntime")
    }
    assert done.parity.keys() == {"openvino", "onnxruntime"}
    for inputs in given:
        (picture,) = inputs.values()
        wanted = outputs(trained, picture)
        exact = engines["torch"].run(inputs)
        for key, value in wanted.items():
            reach = max(float(np.abs(value).max()), 1.0)
            assert value.std() > 1e-3
            # 11 bits of mantissa, through a dozen layers.
            assert 0 < np.abs(exact[key] - value).max() < 0.01 * reach
            for engine in ("openvino", "onnxruntime"):
                found = engines[engine].run(inputs)[key]
                assert found.dtype == np.float32
                assert np.abs(found - exact[key]).max() < TOLERANCE * reach
    for engine, opened in engines.items():
        assert opened.precision == "f32", engine
        assert {k: (s, np.dtype("uint8")) for k, s in opened.inputs.items()} == {
            k: (tuple(x.shape), np.dtype("uint8")) for k, x in trained.export_inputs().items()
        }
        assert tuple(opened.outputs) == trained.export_outputs()


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    one, two = tmp_path / "one", tmp_path / "two"
    export(run, one, samples=1)
    export(run, two, samples=2)
    assert sorted(path.name for path in one.iterdir()) == [
        "manifest.json",
        "tracker.onnx",
        "tracker.safetensors",
    ]
    for path in one.iterdir():
        assert path.read_bytes() == (two / path.name).read_bytes()


@pytest.mark.parametrize("name", ["tracker", "detector"])
def test_the_graph_is_lean_and_its_matrices_are_small(tmp_path: Path, name: str) -> None:
    export(make_run(tmp_path / "run", name), tmp_path, samples=1)
    model = onnx.load(tmp_path / f"{name}.onnx")
    kinds = [node.op_type for node in model.graph.node]
    convolutions = sum(isinstance(module, nn.Conv2d) for module in small(name).modules())
    assert kinds.count("Conv") == convolutions
    slow = {"BatchNormalization", "Identity", "Constant", "Shape", "Expand", "ScatterND", "Where"}
    assert not slow & set(kinds)
    assert kinds.count("Gather") == 1
    assert kinds.count("Resize") == (2 if name == "detector" else 0)
    large = [t for t in model.graph.initializer if len(t.dims) >= 2]
    assert {t.data_type for t in large} == {onnx.TensorProto.FLOAT16}
    behind = {node.input[0] for node in model.graph.node if node.op_type == "Cast"}
    assert {t.name for t in large} < behind  # and the picture
    # Vectors, of which there are few, keep their precision.
    vectors = [
        numpy_helper.to_array(t)
        for t in model.graph.initializer
        if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 1
    ]
    assert any((v.astype(np.float16) != v).any() for v in vectors)


def test_both_files_hold_the_same_numbers(tmp_path: Path) -> None:
    export(make_run(tmp_path / "run"), tmp_path, samples=1)
    model = onnx.load(tmp_path / "tracker.onnx")
    graph = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    tensors = load_file(tmp_path / "tracker.safetensors")
    stored = {key: value for key, value in tensors.items() if value.ndim >= 2}
    assert {value.dtype for value in stored.values()} == {torch.float16}
    turned = [value.T for value in graph.values() if value.ndim == 2]
    for key, value in stored.items():
        named = graph.get(f"{key}.float16")
        # Matrices of a network's end are turned round, and have lost their names.
        held = turned if named is None else [named]
        assert any(np.array_equal(value.numpy(), other) for other in held), key


def test_the_manifest_says_what_from_what_and_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"other.bin": {"sha256": "0"}}')
    export(make_run(tmp_path / "run"), tmp_path, samples=1)
    text = (tmp_path / "manifest.json").read_text()
    manifest = json.loads(text)
    assert list(manifest) == ["other.bin", "tracker.onnx", "tracker.safetensors"]
    for name in ("tracker.onnx", "tracker.safetensors"):
        entry = manifest[name]
        assert entry.keys() == {"data", "format", "licence", "made_by", "sha256"}
        assert entry["sha256"] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert entry["licence"] == "Apache-2.0"
        # Licences are of the repositories that carried the files: nothing is said of the videos.
        where = "from talking-head videos in public repositories under"
        assert entry["data"] == (
            f"40 frames of 3 clips of 2 people {where} MIT or CC-BY-4.0; "
            f"chosen by 40 frames of 3 clips of 1 people {where} MIT"
        )
        assert "talkcodec train tracker, step 70" in entry["made_by"]
    assert str(tmp_path) not in text


def test_what_ships_is_found_by_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    weights.manifest.cache_clear()
    try:
        (tmp_path / "manifest.json").write_text("{}")
        assert weights.manifest() == {}
        export(make_run(tmp_path / "run"), tmp_path, samples=1)
        assert weights.path("tracker.onnx") == tmp_path / "tracker.onnx"
    finally:
        weights.manifest.cache_clear()


def test_data_that_may_not_ship_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package"
    package.mkdir()
    monkeypatch.setattr(weights, "FOLDER", package)
    run = make_run(tmp_path / "run", licences=["MIT", "CC-BY-NC-4.0"])
    with pytest.raises(InputError, match=r"^expected data under Apache.*, found CC-BY-NC-4\.0$"):
        export(run, package)
    with pytest.raises(InputError, match=r"^expected another folder than .*CC-BY-NC-4\.0$"):
        export(run, tmp_path / "run" / ".." / "package", any_licence=True)
    assert not list(package.iterdir())
    export(run, tmp_path / "mine", any_licence=True, samples=1)
    manifest = json.loads((tmp_path / "mine" / "manifest.json").read_text())
    assert {entry["licence"] for entry in manifest.values()} == {
        "not to be passed on: from data under CC-BY-NC-4.0"
    }
    with pytest.raises(InputError, match=r"^expected data under .*, found none$"):
        export(make_run(tmp_path / "run", licences=[]), tmp_path / "mine")


def test_a_licence_of_what_chose_the_weights_counts_too(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    about = json.loads((run / "run.json").read_text())
    about["data"]["validate"]["licences"] = ["unknown"]
    (run / "run.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"found unknown$"):
        export(run, tmp_path / "out")


def test_a_file_that_grew_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run")
    monkeypatch.setitem(exporting.LIMITS, "tracker", 30_000)
    with pytest.raises(InputError, match=r"^expected tracker\.onnx of 30000 bytes or less, found"):
        export(run, tmp_path / "out", samples=1)
    assert not (tmp_path / "out").exists()


def damage_file(run: Path) -> None:
    path = run / "best.safetensors"
    path.write_bytes(path.read_bytes()[:5000])


def rewrite(run: Path, change: Any = None, **metadata: str) -> None:
    """Change the tensors or the metadata of the best weights."""
    network = small("tracker")
    about = {"step": "70", "score": "0.25", "network": "tracker"}
    about |= {"arguments": json.dumps(network.arguments)} | metadata
    tensors = dict(network.state_dict())
    if change is not None:
        change(tensors)
    about = {key: value for key, value in about.items() if value}
    save_file(tensors, run / "best.safetensors", about)


def poison(tensors: dict[str, Tensor]) -> None:
    tensors["code.weight"][0, 0] = math.nan


def grow(tensors: dict[str, Tensor]) -> None:
    tensors["code.weight"][0, 0] = 1e6


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "best.safetensors").unlink(), "expected the best weights of a run in"),
        (damage_file, "expected the best weights of a run in"),
        (lambda run: rewrite(run, network="thinker"), "found: expected a network of"),
        (lambda run: rewrite(run, network=""), "found no 'network' in it"),
        (lambda run: rewrite(run, arguments="[]"), "expected the best weights of a run in"),
        (lambda run: rewrite(run, arguments='{"x": 1}'), "found: tracker: expected its arguments"),
        (
            lambda run: rewrite(run, arguments='{"fine_points": [1], "widths": [1]}'),
            "found: not enough values",
        ),
        (
            lambda run: rewrite(run, arguments='{"fine_points": [1]}'),
            "found: Error.* in loading state",
        ),
        (lambda run: rewrite(run, step="many"), "found: invalid literal"),
        (lambda run: rewrite(run, lambda t: t.pop("code.weight")), "Missing key"),
        (lambda run: rewrite(run, poison), "expected finite weights .*found others in code.weight"),
        (lambda run: rewrite(run, grow), "expected weights that float16 holds, .* code.weight"),
        (lambda run: (run / "run.json").unlink(), "expected what was trained on in .*No such file"),
        (lambda run: (run / "run.json").write_text("{"), "expected what was trained on in"),
        (lambda run: (run / "run.json").write_text("{}"), "run.json, found no 'data'"),
        (lambda run: (run / "run.json").write_text('{"data": []}'), "expected what was trained on"),
        (
            lambda run: (run / "run.json").write_text('{"data": {"train": {"frames": 1}}}'),
            "found no 'clips'",
        ),
    ],
)
def test_what_is_no_run_is_told_in_one_line(tmp_path: Path, damage: Any, message: str) -> None:
    run = make_run(tmp_path / "run")
    damage(run)
    with pytest.raises(InputError, match=message) as told:
        export(run, tmp_path / "out")
    assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_damaged_manifest_is_not_overwritten(tmp_path: Path, text: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="expected a manifest in"):
        export(make_run(tmp_path / "run"), out, samples=1)
    assert (out / "manifest.json").read_text() == text
    assert [path.name for path in out.iterdir()] == ["manifest.json"]


def test_an_engine_that_disagrees_is_told() -> None:
    one, other = small("detector"), small("detector")
    fold(one)
    fold(other)
    with torch.no_grad():
        other.head.bias += 0.01
    best = exporting.Best("detector", one, 1, 0.0)
    wrong = exporting.Best("detector", other, 1, 0.0)
    with torch.no_grad():
        for network in (one, other):
            exporting._round(network)
    files = {
        "torch": exporting._packed(best.name, best.network),
        "onnxruntime": to_onnx(without_norms(wrong.network, fold(wrong.network))),
        "openvino": to_onnx(without_norms(best.network, fold(best.network))),
    }
    with pytest.raises(InputError, match=r"^expected \w+ of onnxruntime within .*, found 0.01"):
        check_parity(small("detector"), files, 2)


def test_a_wrong_fold_does_not_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All engines agree on it, for all are given the same wrong numbers."""

    def careless(network: nn.Module) -> dict[str, str]:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                module.running_mean.zero_()
        return fold(network)

    monkeypatch.setattr(exporting, "fold", careless)
    message = r"^expected \w+ of the files within \S+ of what was trained, found"
    with pytest.raises(InputError, match=message):
        export(make_run(tmp_path / "run"), tmp_path / "out", samples=2)
    assert not (tmp_path / "out").exists()


def test_every_network_that_is_trained_has_a_limit() -> None:
    assert exporting.LIMITS.keys() == {
        "tracker",
        "details",
        "detector",
        "restorer",
        "matte",
        "mouth",
        "eyes",
        *GeneratorNet().parts(),
    }
    assert TASKS.keys() == {
        "tracker",
        "details",
        "detector",
        "restorer",
        "matte",
        "generator",
        "mouth",
        "eyes",
    }


def test_data_of_which_nobody_was_counted_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    part = {key: value for key, value in PART.items() if key != "people"}
    (run / "run.json").write_text(json.dumps({"data": {"train": part, "validate": part}}))
    export(run, tmp_path / "out", samples=1)
    assert "40 frames of 3 clips from talking" in (tmp_path / "out" / "manifest.json").read_text()


def test_what_the_weights_say_of_their_data_counts_before_what_the_folder_says(
    tmp_path: Path,
) -> None:
    run = make_run(tmp_path / "run")
    told = json.dumps({"train": PART | {"licences": ["CC-BY-NC-4.0"]}, "validate": PART})
    rewrite(run, data=told)
    with pytest.raises(InputError, match=r"^expected data under .*, found CC-BY-NC-4\.0$"):
        export(run, tmp_path / "out")
    for text in ("{", "[]", '{"train": {"frames": 1}}'):
        rewrite(run, data=text)
        with pytest.raises(InputError, match=r"^expected what was trained on in"):
            export(run, tmp_path / "out")
    (run / "run.json").unlink()
    rewrite(run, data=json.dumps({"train": PART, "validate": PART}))
    export(run, tmp_path / "out", samples=1)
    assert "40 frames" in (tmp_path / "out" / "manifest.json").read_text()


def test_weights_that_may_not_ship_stay_out_of_every_package(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", licences=["CC-BY-NC-4.0"])
    other = tmp_path / "checkout" / "weights"
    other.mkdir(parents=True)
    (other / "manifest.json").write_text(json.dumps({"motion.safetensors": {}}))
    with pytest.raises(InputError, match=r"^expected another folder than .*CC-BY-NC-4\.0$"):
        export(run, other, any_licence=True, samples=1)
    assert [path.name for path in other.iterdir()] == ["manifest.json"]
    mine = tmp_path / "mine"
    for _ in range(2):  # what was exported there before does not make it a package
        export(run, mine, any_licence=True, samples=1)
    text = (mine / "manifest.json").read_text()
    assert "listed as under CC-BY-NC-4.0; chosen by 40 frames" in text


def test_folding_changes_nothing_but_where_numbers_are() -> None:
    network = small("tracker")
    (picture,) = views(network, 1)[0].values()
    before = outputs(network, picture)
    pairs = fold(network)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(pairs) == len(norms) == len(set(pairs.values()))
    bare = without_norms(network, pairs)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in bare.modules())
    for found in (outputs(network, picture), outputs(bare, picture)):
        for key, value in before.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=1e-4)


def test_the_command_exports_and_says_how_well(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    out = str(tmp_path / "out")
    told = CliRunner().invoke(app, ["train", "export", str(run), "--out", out, "--samples", "2"])
    assert told.exit_code == 0
    assert "tracker of step 70, score 0.25" in told.stdout
    assert f"{out}/tracker.onnx: 0." in told.stdout
    assert "openvino from torch, at most: landmarks" in told.stdout
    told = CliRunner().invoke(app, ["train", "export", str(run), "--out", out, "--json"])
    found = json.loads(told.stdout)
    assert found["network"] == "tracker"
    assert found["step"] == 70
    assert found["parity"]["onnxruntime"].keys() == {"landmarks", "extras"}
    told = CliRunner().invoke(app, ["train", "export", str(tmp_path)])
    assert told.exit_code == 1
    assert told.stderr.startswith("talkcodec: expected the best weights of a run in")
    assert told.stderr.count("\n") == 1
