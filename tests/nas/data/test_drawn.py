"""Both ways of treating the drawn images, by rows and all at once, give the same."""

from functools import partial

import pytest
import torch
from torch import Tensor

from nas.data import colour, drawn, geometry
from nas.data.mixing import paste

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.randint(0, 256, (9, 10, 10, 3), dtype=torch.uint8, generator=GENERATOR)
FACTORS = torch.linspace(0.1, 1.9, 9)
MATRICES = geometry.matrices(*torch.rand(5, 9, generator=GENERATOR), 10)
TABLES = torch.randint(0, 256, (9, 3, 256), dtype=torch.uint8, generator=GENERATOR)
ROWS, COLUMNS = torch.rand(2, 9, 10, generator=GENERATOR) < 0.5
OPERATIONS = {
    "warp": (partial(geometry.warp, fill=128), (IMAGES, MATRICES)),
    "look_up": (colour.look_up, (IMAGES, TABLES)),
    "saturation": (colour.saturation, (IMAGES, FACTORS)),
    "sharpness": (colour.sharpness, (IMAGES, FACTORS)),
    "paste": (lambda image, *cut: paste(image, 255 - image, *cut), (IMAGES, ROWS, COLUMNS)),
}


@pytest.mark.parametrize("neighbours", [False, True])
@pytest.mark.parametrize("cache", [1, 700, 1 << 18])
@pytest.mark.parametrize("name", OPERATIONS)
def test_rows_and_all_agree(name: str, cache: int, neighbours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU, which computes every image and selects, gets what a CPU gets from the drawn images in any portions."""
    monkeypatch.setattr(drawn, "CACHE_VALUES", cache)
    change, inputs = OPERATIONS[name]
    chosen = torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 0] if neighbours else [1, 0, 1, 1, 0, 0, 1, 0, 1]).bool()
    everywhere = change(*inputs)
    by_rows = drawn._rows(IMAGES.clone(), chosen, change, inputs)
    at_once = drawn._all(IMAGES.clone(), chosen, change, inputs)
    assert torch.equal(by_rows, at_once)
    assert torch.equal(by_rows[chosen], everywhere[chosen])
    assert torch.equal(by_rows[~chosen], IMAGES[~chosen])


def test_one_row_for_all_of_an_images_rows() -> None:
    """A change may give one row where the target has several, on every path."""
    target, values = torch.zeros(4, 3, 8), torch.tensor([1.0, 2.0, 3.0, 4.0])
    for chosen in (torch.tensor([True, False, True, False]), torch.tensor([False, True, True, False])):
        wanted = torch.where(chosen, values, 0.0)[:, None, None].expand(4, 3, 8)
        for way in (drawn._rows, drawn._all):
            done = way(target.clone(), chosen, lambda value: value[:, None, None].expand(-1, 1, 8), (values,))
            assert torch.equal(done, wanted)


@pytest.mark.parametrize("size", [5, 8])
def test_nobody_drawn(size: int) -> None:
    """Where no image draws an operation nothing is computed or changed, whatever the size of an image."""

    def change(images: Tensor) -> Tensor:
        raise AssertionError("called")

    images = torch.zeros(3, size, size, 1, dtype=torch.uint8)
    assert torch.equal(drawn.on_drawn(images, torch.zeros(3, dtype=torch.bool), change, images), images)
