"""Optimisers: what decays, how fast each part learns, each one's fastest form on a device, and the paper's RMSProp."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nas.imports import uncollected
from nas.training.settings import LR_FACTORS, LrFactors, Optimizer, TrainSettings, optimizer_of
from search_space.lookup import find

Groups = list[dict[str, Any]]
MakeOptimizer = Callable[[Groups, float | Tensor, TrainSettings, torch.device], torch.optim.Optimizer]

# The part of a Network that a parameter is in, by the first word of its name.
_PARTS = {"conv_stem": "stem", "bn1": "stem", "blocks": "stages", "conv_head": "head", "bn2": "head"} | {
    "classifier": "classifier"
}


def parameter_groups(network: nn.Module, weight_decay: float, lr_factors: LrFactors = LR_FACTORS) -> Groups:
    """Split trainable parameters into those that decay and those that do not: norms, biases, all of one dimension.

    Where learning rates differ there are more groups than these two. Each has PyTorch's keys `params`, `param_names`
    (as in `named_parameters`) and `weight_decay`, and `lr_factor`, which every learning rate is multiplied with.
    """
    groups: dict[tuple[bool, float], dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            kept = parameter.ndim <= 1
            factor = _lr_factor(name, kept, lr_factors)
            new = {"params": [], "param_names": [], "weight_decay": 0.0 if kept else weight_decay, "lr_factor": factor}
            group = groups.setdefault((kept, factor), new)
            group["params"].append(parameter)
            group["param_names"].append(name)
    return [groups[key] for key in sorted(groups, key=lambda key: key[0])]


def _lr_factor(name: str, kept: bool, lr_factors: LrFactors) -> float:
    part = _PARTS.get(name.partition(".")[0])
    factor: float = 1.0 if part is None else getattr(lr_factors, part)
    return factor * lr_factors.norms_and_biases if kept else factor


def make_optimizer(network: nn.Module, settings: TrainSettings, device: torch.device) -> torch.optim.Optimizer:
    """Build the optimiser of the settings; on a GPU its learning rates are tensors, which a captured step reads.

    Raises: ValueError, of one line, for an optimiser that cannot be imported.
    """
    groups = parameter_groups(network, settings.weight_decay, settings.lr_factors)
    on_gpu = device.type == "cuda"
    lr = torch.zeros((), device=device) if on_gpu else 0.0
    with uncollected():  # torch imports its compiler for the first one
        optimizer = find_optimizer(settings.optimizer)(groups, lr, settings, device)
    if on_gpu:
        for group in optimizer.param_groups:  # each a rate of its own, for their factors may differ
            group["lr"] = torch.zeros((), device=device)
    return optimizer


def find_optimizer(name: str) -> MakeOptimizer:
    """Give what makes the optimiser of that name, or `module:function`. Raises: ValueError, of one line."""
    made_by = optimizer_of(name).make
    found = find("optimizer", made_by, {}) if isinstance(made_by, str) else made_by
    make: MakeOptimizer = found.make if isinstance(found, Optimizer) else found
    return make


# Each of these takes the groups of `parameter_groups`, a learning rate (0 until the first step sets it; on a GPU a
# tensor), the settings and the device. One of a package of one's own is a function of the same kind: it may split
# groups by the dimensions or names of their parameters, as Muon does, and keeps the keys that it does not know. Where
# it counts steps in tensors, and so can be part of a CUDA graph, it is registered as `Optimizer(..., capturable=True)`.


def sgd(groups: Groups, lr: float | Tensor, settings: TrainSettings, device: torch.device) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, 0.9 unless said otherwise."""
    momentum = 0.9 if settings.momentum is None else settings.momentum
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=momentum > 0, fused=True)


def rmsprop(groups: Groups, lr: float | Tensor, settings: TrainSettings, device: torch.device) -> torch.optim.Optimizer:
    """The paper's RMSProp; momentum and epsilon are RMSProp's own unless said otherwise."""
    return RMSProp(groups, lr=lr, foreach=device.type == "cuda", **_given(settings, "momentum", "eps"))


def adamw(groups: Groups, lr: float | Tensor, settings: TrainSettings, device: torch.device) -> torch.optim.Optimizer:
    """AdamW; betas and epsilon are PyTorch's own unless said otherwise."""
    capturable = device.type == "cuda"
    optimizer = torch.optim.AdamW(groups, lr=lr, fused=True, capturable=capturable, **_given(settings, "betas", "eps"))
    optimizer._warned_capturable_if_run_uncaptured = True  # no warning that the steps before the capture are eager
    return optimizer


def _given(settings: TrainSettings, *names: str) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in names if getattr(settings, name) is not None}


class RMSProp(torch.optim.Optimizer):
    """RMSProp as TensorFlow has it and EfficientNets are trained with; PyTorch's own differs in three ways.

    Here epsilon is added to the mean square before the root, not to the root; the mean square starts at 1, not 0, which
    tames the first updates; and the learning rate is inside the momentum, so that past updates keep the rate they had:

        mean_square = decay * mean_square + (1 - decay) * grad**2
        velocity = momentum * velocity + lr * grad / sqrt(mean_square + eps)
        parameter -= velocity

    Args:
        lr: a float, or a tensor without dimensions on the parameters' device.
        weight_decay: L2, added to the gradient.
        foreach: one kernel for many tensors: the faster on a GPU, the slower on a CPU.
    Source: `tf.compat.v1.train.RMSPropOptimizer`, as used by google/automl efficientnetv2; EfficientNetV2, section 5.1.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float | Tensor,
        *,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
        foreach: bool = False,
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)
        self._update = _update_all if foreach else _update_each

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["mean_square"] = torch.ones_like(parameter)
                    self.state[parameter]["velocity"] = torch.zeros_like(parameter)
            if parameters:
                squares = [self.state[parameter]["mean_square"] for parameter in parameters]
                velocities = [self.state[parameter]["velocity"] for parameter in parameters]
                self._update(group, parameters, squares, velocities)


def _update_each(
    group: dict[str, Any], parameters: list[Tensor], squares: list[Tensor], velocities: list[Tensor]
) -> None:
    for parameter, square, velocity in zip(parameters, squares, velocities, strict=True):
        grad = parameter.grad
        assert grad is not None
        if group["weight_decay"]:
            grad = grad.add(parameter, alpha=group["weight_decay"])
        square.mul_(group["decay"]).addcmul_(grad, grad, value=1 - group["decay"])
        root = square.add(group["eps"]).sqrt_()
        velocity.mul_(group["momentum"]).addcdiv_(grad, root, value=float(group["lr"]))
        parameter.sub_(velocity)


def _update_all(
    group: dict[str, Any], parameters: list[Tensor], squares: list[Tensor], velocities: list[Tensor]
) -> None:
    grads: Any = [parameter.grad for parameter in parameters]
    if group["weight_decay"]:
        grads = torch._foreach_add(grads, parameters, alpha=group["weight_decay"])
    torch._foreach_mul_(squares, group["decay"])
    torch._foreach_addcmul_(squares, grads, grads, value=1 - group["decay"])
    steps = torch._foreach_add(squares, group["eps"])
    torch._foreach_rsqrt_(steps)
    torch._foreach_mul_(steps, grads)
    torch._foreach_mul_(steps, group["lr"])
    torch._foreach_mul_(velocities, group["momentum"])
    torch._foreach_add_(velocities, steps)
    torch._foreach_sub_(parameters, velocities)
