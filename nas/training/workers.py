"""The processes that train one network together, each on its share of every batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Workers:
    """This process among those that train together; several are joined by torch.distributed's default group."""

    rank: int = 0  # of this process, counted from 0; that of 0 writes what is kept
    count: int = 1

    def synchronised(self, network: nn.Module) -> nn.Module:
        """Give the module whose forward and backward leave the mean gradient of all workers in `network`.

        All of them start from the first one's weights. Batch norm sees a worker's own share of the batch.
        """
        if self.count == 1:
            return network
        device = next(network.parameters()).device
        ids = [device.index] if device.type == "cuda" else None
        # Each worker's batch norm gathers its own statistics; `average_buffers` joins them before they are used.
        # What is sent is the gradients themselves, no copy of them.
        return DistributedDataParallel(network, device_ids=ids, broadcast_buffers=False, gradient_as_bucket_view=True)

    def sum(self, values: Tensor) -> Tensor:
        """Add up what the workers have, element by element; all must call this."""
        if self.count > 1:
            values = values.clone()
            distributed.all_reduce(values)
        return values

    def mean(self, values: Tensor) -> Tensor:
        """Average what the workers have, element by element; all must call this."""
        return self.sum(values) / self.count

    def wait(self) -> None:
        """Wait until all workers are here."""
        if self.count > 1:
            distributed.barrier()

    @torch.no_grad()
    def average_buffers(self, network: nn.Module) -> None:
        """Give every worker's network the mean of their running statistics; all must call this."""
        if self.count > 1:
            for buffer in network.buffers():
                if buffer.is_floating_point():
                    buffer.copy_(self.mean(buffer))


ALONE = Workers()
