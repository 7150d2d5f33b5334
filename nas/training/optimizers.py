"""Optimisers: which parameters decay, the fastest form of each optimiser on each device, and the paper's RMSProp."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nas.training.settings import TrainSettings


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split trainable parameters into those that decay and those that do not: norms, biases, all of one dimension."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def make_optimizer(network: nn.Module, settings: TrainSettings, device: torch.device) -> torch.optim.Optimizer:
    """Build the optimiser of the settings; on a GPU its learning rate is a tensor, which a captured step reads."""
    groups = parameter_groups(network, settings.weight_decay)
    on_gpu = device.type == "cuda"
    lr: Any = torch.zeros((), device=device) if on_gpu else 0.0
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
    if settings.optimizer == "adamw":
        adamw = torch.optim.AdamW(groups, lr=lr, fused=True, capturable=on_gpu)
        adamw._warned_capturable_if_run_uncaptured = True  # no warning that the steps before the capture are eager
        return adamw
    return RMSProp(groups, lr=lr, foreach=on_gpu)


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
