# SPDX-License-Identifier: Apache-2.0
"""From a run's best weights to the files that ship: ``talkcodec train export``.

::

    NAME.onnx            for OpenVINO and ONNX Runtime
    NAME.safetensors     for torch
    manifest.json        what both are, made from what, under what licence

Normalisation is folded into the convolutions first, then matrices and kernels are rounded to
float16, once: both files hold the same numbers, and engines differ by their orders of summation
only. Vectors stay float32; they are few. The same run gives the same bytes.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from talkcodec import weights
from talkcodec.errors import InputError, WeightsError
from talkcodec.render.engine import FORMATS
from talkcodec.render.engine.torch import build_network, pack_network
from training.checkpoint import BEST
from training.fold import fold, without_norms
from training.graph import OPSET, to_onnx
from training.parity import Parity, check_parity
from training.provenance import data_of, licence_of, told

#: Most bytes of a file of each network: what a wheel and a start of a call can bear.
LIMITS = {
    "tracker": 1_600_000,
    "details": 400_000,
    "detector": 1_000_000,
    "restorer": 400_000,
    "matte": 700_000,
    "dense_motion": 4_000_000,
    "painter": 400_000,
    "mouth": 1_500_000,
    "eyes": 1_500_000,
}

_FORMATS = {
    ".onnx": f"ONNX, operators {OPSET}, matrices float16, computed in float32",
    ".safetensors": "folded weights for torch, matrices float16",
}


@dataclass(frozen=True, slots=True)
class Best:
    """The best weights of a run: which ``network``, built and in eval mode, of which ``step``.
    ``data``: what they were made from, as JSON; None if they do not say.
    """

    name: str
    network: nn.Module
    step: int
    score: float
    data: str | None = None

    def parts(self) -> dict[str, nn.Module]:
        """Return the networks to write, by name: a network may be trained as one with others."""
        parts = getattr(self.network, "parts", None)
        return {self.name: self.network} if parts is None else parts()


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. ``files``: sizes in bytes by path. ``rounding``: by output, the largest
    change that float16 makes. ``parity``: how far each engine is from torch.
    """

    best: Best
    files: dict[Path, int]
    rounding: dict[str, float]
    parity: Parity


def export(
    run: Path, out: Path = weights.FOLDER, *, any_licence: bool = False, samples: int = 16
) -> Exported:
    """Write the best weights of ``run`` and their entries of the manifest to ``out``.

    ``any_licence``: take weights that may not ship, into any folder but a package's.
    ``samples``: number of pictures on which engines are compared.

    Raises:
        InputError: ``run`` is no folder of a run with weights, its data may not be used, a file
            grows too large, or it computes something else than what was trained.
    """
    best = load_best(run)
    data = data_of(run, best.data)
    entry = {
        "data": told(data),
        "licence": licence_of(data, out, any_licence=any_licence),
        "made_by": _made_by(best),
    }
    sizes: dict[Path, int] = {}
    rounding: dict[str, float] = {}
    parity: Parity = {}
    made = {name: _made(name, part, samples) for name, part in best.parts().items()}
    for name, (files, rounded, apart) in made.items():
        _write(out, name, files, entry)
        sizes |= {out / f"{name}{suffix}": len(content) for suffix, content in files.items()}
        rounding |= rounded
        for engine, worst in apart.items():
            parity.setdefault(engine, {}).update(worst)
    return Exported(best, sizes, rounding, parity)


def _made(
    name: str, network: nn.Module, samples: int
) -> tuple[dict[str, bytes], dict[str, float], Parity]:
    """Return the files of ``network`` by suffix, what rounding changes, and engines' parity."""
    trained = copy.deepcopy(network)
    pairs = fold(network)
    _round(network)
    files = {
        ".onnx": to_onnx(without_norms(network, pairs)),
        ".safetensors": _packed(name, network),
    }
    for suffix, content in files.items():
        limit = LIMITS.get(name, len(content))
        if len(content) > limit:
            raise InputError(
                f"expected {name}{suffix} of {limit} bytes or less, found {len(content)}"
            )
    rounding, parity = check_parity(
        trained, {engine: files[suffix] for engine, suffix in FORMATS.items()}, samples
    )
    return files, rounding, parity


def load_best(run: Path) -> Best:
    """Return the best weights of ``run`` in the network that they are of.

    Raises:
        InputError: there are none, or none of a network that we know.
    """
    path = run / BEST
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        name = about["network"]
        network = build_network(name, json.loads(about["arguments"]))
        network.load_state_dict(tensors)
        step, score = int(about["step"]), float(about["score"])
        best = Best(name, network.eval(), step, score, about.get("data"))
    except KeyError as error:
        raise InputError(f"expected {path} of a training run, found no {error} in it") from None
    except (
        OSError, SafetensorError, WeightsError, ValueError, TypeError, RuntimeError, IndexError
    ) as error:  # fmt: skip
        found = " ".join(str(error).split())[:200]
        raise InputError(f"expected the best weights of a run in {path}, found: {found}") from None
    for key, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"expected finite weights in {path}, found others in {key}")
    return best


def _made_by(best: Best) -> str:
    return f"talkcodec train {best.name}, step {best.step}; talkcodec train export"


@torch.no_grad()
def _round(network: nn.Module) -> None:
    """Give matrices and kernels values that float16 holds."""
    for key, parameter in network.named_parameters():
        if parameter.ndim >= 2:
            parameter.copy_(parameter.half())
            if not parameter.isfinite().all():
                raise InputError(f"expected weights that float16 holds, found larger ones in {key}")


def _packed(name: str, network: nn.Module) -> bytes:
    """Return the safetensors file of rounded weights."""
    small = copy.deepcopy(network)
    for parameter in small.parameters():
        if parameter.ndim >= 2:
            parameter.data = parameter.data.half()
    inputs: dict[str, Tensor] = network.export_inputs()  # type: ignore[operator]
    names: tuple[str, ...] = network.export_outputs()  # type: ignore[operator]
    with torch.no_grad():
        found = network(*inputs.values())
    found = (found,) if isinstance(found, Tensor) else found
    outputs = dict(zip(names, found, strict=True))
    arguments: Any = network.arguments
    return pack_network(
        name, small, arguments=arguments, inputs=_ports(inputs), outputs=_ports(outputs)
    )


def _ports(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {
        name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
        for name, tensor in tensors.items()
    }


def _write(out: Path, name: str, files: Mapping[str, bytes], entry: Mapping[str, str]) -> None:
    """Put the files into ``out``, then their entries beside those of others."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for suffix, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            manifest[name + suffix] = {**entry, "format": _FORMATS[suffix], "sha256": digest}
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"expected a manifest in {path}, found {error}") from None
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    contents = {out / f"{name}{suffix}": content for suffix, content in files.items()}
    for target, content in {**contents, path: text.encode()}.items():
        partial = target.with_name(f".{target.name}.partial")
        partial.write_bytes(content)
        partial.replace(target)
    weights.manifest.cache_clear()
