"""An operation runs on the images that drew it alone, in portions that change nothing."""

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
@pytest.mark.parametrize("values", [1, 700, 1 << 18])
@pytest.mark.parametrize("name", OPERATIONS)
def test_only_those_who_drew_it_in_any_portions(
    name: str, values: int, neighbours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drawn images become what the operation makes of the whole batch, however large portions are; others stay."""
    monkeypatch.setattr(drawn, "CPU_VALUES", values)
    change, inputs = OPERATIONS[name]
    chosen = torch.tensor([0, 0, 1, 1, 1, 1, 0, 0, 0] if neighbours else [1, 0, 1, 1, 0, 0, 1, 0, 1]).bool()
    done = drawn.on_drawn(IMAGES.clone(), chosen, change, *inputs)
    assert torch.equal(done[chosen], change(*inputs)[chosen])
    assert torch.equal(done[~chosen], IMAGES[~chosen])
    assert torch.equal(drawn.on_all(IMAGES.clone(), change, *inputs), change(*inputs))


def test_one_row_for_all_of_an_images_rows() -> None:
    """A change may give one row where the target has several, wherever the drawn images are."""
    target, values = torch.zeros(4, 3, 8), torch.tensor([1.0, 2.0, 3.0, 4.0])
    for chosen in (torch.tensor([True, False, True, False]), torch.tensor([False, True, True, False])):
        wanted = torch.where(chosen, values, 0.0)[:, None, None].expand(4, 3, 8)
        done = drawn.on_drawn(target.clone(), chosen, lambda value: value[:, None, None].expand(-1, 1, 8), values)
        assert torch.equal(done, wanted)


@pytest.mark.parametrize("size", [5, 8])
def test_nobody_drawn(size: int) -> None:
    """Where no image draws an operation nothing is computed or changed, whatever the size of an image."""

    def change(images: Tensor) -> Tensor:
        raise AssertionError("called")

    images = torch.zeros(3, size, size, 1, dtype=torch.uint8)
    assert torch.equal(drawn.on_drawn(images, torch.zeros(3, dtype=torch.bool), change, images), images)
