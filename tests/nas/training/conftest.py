"""Real data and small real networks for the tests of training."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from search_space.architecture import Architecture, Stage
from search_space.network import build_network


class TensorBatches:
    """Batches cut from tensors in memory; shuffled by the epoch's number if `shuffle`, then without a partial batch."""

    def __init__(self, images: Tensor, labels: Tensor, batch_size: int, shuffle: bool) -> None:
        self.images, self.labels, self.batch_size, self.shuffle = images, labels, batch_size, shuffle

    def __len__(self) -> int:
        count = len(self.images)
        return count // self.batch_size if self.shuffle else -(-count // self.batch_size)

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self.images))
        if self.shuffle:
            order = torch.randperm(len(order), generator=torch.Generator().manual_seed(number))
        for part in order.split(self.batch_size)[: len(self)]:
            yield self.images[part], self.labels[part]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Callable[[int], tuple[TensorBatches, TensorBatches]]:
    """Give train and evaluation batches of scikit-learn's digits, 1 x 8 x 8, for a batch size."""
    from sklearn.datasets import load_digits  # not above: on a GPU machine without it the tests of the GPU still run

    data = load_digits()
    order = torch.randperm(len(data.target), generator=torch.Generator().manual_seed(0))
    images = ((torch.tensor(data.images, dtype=torch.float32)[:, None] / 16 - 0.3) / 0.35)[order]
    labels = torch.tensor(data.target)[order]

    def batches(batch_size: int = 64) -> tuple[TensorBatches, TensorBatches]:
        train = TensorBatches(images[:1400], labels[:1400], batch_size, shuffle=True)
        return train, TensorBatches(images[1400:], labels[1400:], 256, shuffle=False)

    return batches


@pytest.fixture
def make_network() -> Callable[..., nn.Module]:
    """Give a function that builds a small network with both ops, the same weights for the same seed."""
    architecture = Architecture(
        stem_channels=16,
        stages=(Stage("fused_mbconv", 2, 3, 1, 16, 1), Stage("mbconv", 2, 3, 4, 24, 2, 0.25)),
        head_channels=64,
        stem_stride=1,
        dropout=0.1,
    )

    def build(seed: int = 0) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_network(architecture, 10, 1)

    return build
