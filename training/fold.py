# SPDX-License-Identifier: Apache-2.0
"""Normalisation folded into the convolutions before it, and unfolded to train on.

A folded network has the same parts and arguments as before, so that whoever builds it by name can
load it: its BatchNorms add a bias and do nothing else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn


@torch.no_grad()
def fold(network: nn.Module) -> dict[str, str]:
    """Fold in place; return the name of each BatchNorm by the name of its convolution.

    ``network``: in eval mode, with ``export_inputs``. Which convolution a BatchNorm follows is
    seen by running it once.
    """
    pairs = _pairs(network)
    for name, norm_name in pairs.items():
        conv, norm = network.get_submodule(name), network.get_submodule(norm_name)
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        before = torch.zeros_like(gain) if conv.bias is None else conv.bias.double()
        norm.bias.copy_(norm.bias + (before - norm.running_mean) * gain)
        conv.weight.copy_(conv.weight * gain[:, None, None, None])
        if conv.bias is not None:
            conv.bias.zero_()
        norm.weight.fill_(1)
        norm.running_mean.zero_()
        norm.running_var.fill_(1 - norm.eps)
    return pairs


def without_norms(network: nn.Module, pairs: dict[str, str]) -> nn.Module:
    """Return a copy of a folded ``network`` whose convolutions have the biases themselves."""
    bare = copy.deepcopy(network)
    for name, norm_name in pairs.items():
        conv, norm = bare.get_submodule(name), bare.get_submodule(norm_name)
        assert isinstance(norm.bias, nn.Parameter)
        conv.bias = norm.bias
        bare.set_submodule(norm_name, nn.Identity())
    return bare


@torch.no_grad()
def unfold(network: nn.Module, run: Callable[[], object]) -> None:
    """Give the BatchNorms of a folded ``network`` the statistics of what passes through them.

    In eval mode it computes what it did; in training it does nearly so, and can go on: folded,
    it would divide by deviations that nobody has taken out. ``run``: shows it a batch.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def note(norm: nn.Module, given: tuple[Tensor]) -> None:
        x = given[0].float()
        seen[norm] = (x.mean((0, 2, 3)), x.var((0, 2, 3)))

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    was_training = network.training
    network.eval()
    run()
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    for norm, (mean, variance) in seen.items():
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        old = norm.weight / (norm.running_var + norm.eps).sqrt()
        norm.bias.add_((mean - norm.running_mean) * old)
        norm.weight.copy_(old * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def _pairs(network: nn.Module) -> dict[str, str]:
    made: list[tuple[Tensor, str]] = []
    pairs: dict[str, str] = {}
    hooks = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):

            def note(_: nn.Module, __: object, out: Tensor, name: str = name) -> None:
                made.append((out, name))

            hooks.append(module.register_forward_hook(note))
        elif isinstance(module, nn.BatchNorm2d):

            def pair(_: nn.Module, given: tuple[Tensor], name: str = name) -> None:
                pairs.update({conv: name for out, conv in made if out is given[0]})

            hooks.append(module.register_forward_pre_hook(pair))
    inputs: dict[str, Tensor] = network.export_inputs()  # type: ignore[operator]
    network(*inputs.values())
    for hook in hooks:
        hook.remove()
    return pairs
