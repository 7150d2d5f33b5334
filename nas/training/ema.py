"""The exponential moving average of a network's weights and batch norm statistics."""

from __future__ import annotations

import copy
from itertools import chain

import torch
from torch import nn


def ema_decay(updates: int, decay: float) -> float:
    """Give the decay to use after n earlier updates: at most (1 + n) / (10 + n), so that the start is forgotten.

    Source: `tf.train.ExponentialMovingAverage` with `num_updates`, as the official EfficientNet code uses it.
    """
    return min(decay, (1 + updates) / (10 + updates))


class ExponentialMovingAverage:
    """A copy of a network whose floating-point weights and buffers trail the network's; integer buffers are copied.

    `network` is that copy, in evaluation mode. On a GPU the decay of an update is read from a tensor, so that a
    captured update follows the warm-up of the decay.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        ours, theirs = (list(chain(net.parameters(), net.buffers())) for net in (self.network, network))
        pairs = list(zip(ours, theirs, strict=True))
        self._averages = [average for average, _ in pairs if average.is_floating_point()]
        self._sources = [source for _, source in pairs if source.is_floating_point()]
        self._copied = [(average, source) for average, source in pairs if not average.is_floating_point()]
        self._share = torch.zeros((), device=ours[0].device)  # 1 - decay, of the next update

    def advance(self) -> None:
        """Count an update and set its decay: before each `update`, outside of a captured step."""
        self._share.fill_(1 - ema_decay(self.updates, self.decay))
        self.updates += 1

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network by one minus the decay."""
        if self._share.device.type == "cpu":
            torch._foreach_lerp_(self._averages, self._sources, self._share.item())
        else:  # lerp takes its weight from a tensor only one by one; these three take many tensors at once
            steps = torch._foreach_sub(self._sources, self._averages)
            torch._foreach_mul_(steps, self._share)
            torch._foreach_add_(self._averages, steps)
        for average, source in self._copied:
            average.copy_(source)
