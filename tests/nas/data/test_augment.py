"""The whole augmentation: what is off is off, what is on is drawn for each image, and nothing waits for the host."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nas.data import drawn
from nas.data.augment import augment
from nas.data.settings import AugmentSettings

ALL = AugmentSettings(crop="pad", flip=True, randaugment_magnitude=9.0, erasing=0.5, mixup_alpha=0.2, cutmix_alpha=1.0)
EACH = {
    "none": AugmentSettings(),
    "pad": AugmentSettings(crop="pad"),
    "resized": AugmentSettings(crop="resized"),
    "flip": AugmentSettings(flip=True),
    "randaugment": AugmentSettings(randaugment_magnitude=9.0),
    "official": AugmentSettings(randaugment_magnitude=9.0, randaugment_policy="official"),
    "erasing": AugmentSettings(erasing=0.5),
    "mixup": AugmentSettings(mixup_alpha=0.2),
    "cutmix": AugmentSettings(cutmix_alpha=1.0),
    "all": ALL,
    "all, resized": replace(ALL, crop="resized"),
}


def batch(n: int = 24, size: int = 16, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (n, size, size, channels), dtype=torch.uint8, generator=generator)
    return images.permute(0, 3, 1, 2), torch.arange(n) % 5


def test_everything_is_off_by_default() -> None:
    """Settings nobody touched change neither pixels nor labels."""
    images, labels = batch()
    done, same = augment(images, labels, AugmentSettings(), None, 5)
    assert torch.equal(done, images)
    assert torch.equal(same, labels)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", EACH)
def test_shapes_labels_and_seeds(name: str, channels: int) -> None:
    """Each step keeps shape and range, softens labels only if it mixes, repeats with its seed, spares its input."""
    images, labels = batch(channels=channels)
    before = images.clone()
    results = [augment(images, labels, EACH[name], torch.Generator().manual_seed(s), 5) for s in (0, 0, 1)]
    (first, soft), (again, _), (other, _) = results
    assert first.shape == images.shape
    assert first.is_contiguous(memory_format=torch.channels_last)
    assert first.dtype == (torch.float32 if EACH[name].mixup_alpha else torch.uint8)
    assert first.float().amin() >= 0
    assert first.float().amax() <= 255
    assert soft.shape == ((24, 5) if EACH[name].mixes else (24,))
    assert torch.equal(first, again)
    assert (name == "none") == torch.equal(first, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", EACH)
def test_nothing_waits_for_the_host(name: str) -> None:
    """The host knows what was drawn without asking the GPU.

    Tensors without data stand for the GPU's: they take the same branch and refuse whatever would have to read values.
    """
    images = torch.empty(24, 16, 16, 3, dtype=torch.uint8, device="meta").permute(0, 3, 1, 2)
    done, soft = augment(images, torch.empty(24, dtype=torch.int64, device="meta"), EACH[name], None, 5)
    assert done.shape == images.shape
    assert done.device.type == "meta"
    assert soft.shape == ((24, 5) if EACH[name].mixes else (24,))


class Counted(TorchDispatchMode):
    """Counts what a GPU would compute: operations on tensors without data that give new ones or change them."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels, self.values, self.largest_bytes = 0, 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        made = [t for t in tree_leaves(given) if isinstance(t, torch.Tensor) and t.device.type == "meta"]
        is_view = any(each.alias_info is not None and not each.alias_info.is_write for each in func._schema.returns)
        if made and not is_view:
            self.kernels += not func.overloadpacket.__name__.startswith("empty")
            self.values += sum(t.numel() for t in made)
            self.largest_bytes = max(self.largest_bytes, *(t.numel() * t.element_size() for t in made))
        return given


def counted(settings: AugmentSettings, n: int, size: int) -> Counted:
    images = torch.empty(n, size, size, 3, dtype=torch.uint8, device="meta").permute(0, 3, 1, 2)
    labels = torch.empty(n, dtype=torch.int64, device="meta")
    with Counted() as count:
        augment(images, labels, settings, torch.Generator().manual_seed(0), 10)
    return count


@pytest.mark.parametrize("policy", ["increasing", "official"])
def test_each_operation_runs_on_its_own_images_alone(policy: str) -> None:
    """Two of 16 operations an image cost a GPU some 20 values for each value of the batch, not over a hundred."""
    count = counted(AugmentSettings(randaugment_magnitude=9.0, randaugment_policy=policy), 256, 64)
    assert count.values < 25 * 256 * 64 * 64 * 3
    assert count.kernels < 450


def test_what_is_made_on_the_way_is_bounded() -> None:
    """Of a batch of any size a portion at a time is worked on: nothing is larger than the batch or a portion's words.

    Mixup is left out, which gives float32.
    """
    settings = replace(ALL, crop="resized", mixup_alpha=0.0)
    for n in (512, 4096):
        largest = counted(settings, n, 160).largest_bytes
        assert largest <= max(n * 160 * 160 * 3, 8 * drawn.GPU_VALUES)


@pytest.mark.parametrize("name", EACH)
def test_portions_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same draws give the same images, whether they are worked on one by one or all at once."""
    images, labels = batch()
    results = []
    for values in (1, 5000, 1 << 30):
        monkeypatch.setattr(drawn, "CPU_VALUES", values)
        results.append(augment(images, labels, EACH[name], torch.Generator().manual_seed(0), 5))
    for done, soft in results[1:]:
        assert torch.equal(done, results[0][0])
        assert torch.equal(soft, results[0][1])


def test_flip_mirrors_half_of_the_images() -> None:
    """Each image is either as it was or mirrored, about as many of each."""
    images, labels = batch(400)
    done, _ = augment(images, labels, AugmentSettings(flip=True), torch.Generator().manual_seed(0), 5)
    same = (done == images).flatten(1).all(1)
    mirrored = (done == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 160 < same.sum() < 240


def test_pad_crop_moves_up_to_the_padding_and_scales_with_the_image() -> None:
    """Four pixels at 32 are eight at 64: offsets reach that far in both directions and no further."""
    images = torch.zeros(600, 1, 64, 64, dtype=torch.uint8)
    images[:, :, 32, 32] = 255
    done, _ = augment(images, torch.zeros(600), AugmentSettings(crop="pad"), torch.Generator().manual_seed(0), 5)
    places = done.flatten(1).argmax(1)
    for offset in (places // 64 - 32, places % 64 - 32):
        assert (offset.min(), offset.max()) == (-8, 8)
        assert offset.unique().numel() == 17


def test_image_size_is_reached_by_every_crop() -> None:
    """Smaller images come out of the same arrays, antialiased, whatever the crop."""
    images, labels = batch(size=32)
    for crop in ("none", "pad", "resized"):
        done, _ = augment(images, labels, AugmentSettings(crop=crop), torch.Generator().manual_seed(0), 5, 20)
        assert done.shape == (24, 3, 20, 20)
        assert done.float().std() < images.float().std()  # noise averaged


def test_strengths_may_change_from_call_to_call() -> None:
    """Stronger settings change images more: the dial that progressive learning turns."""
    images, labels = batch(256, 32)
    smooth = torch.nn.functional.interpolate(images[:, :, ::8, ::8].float(), size=(32, 32), mode="bilinear").to(
        torch.uint8
    )
    change = []
    for magnitude in (0.0, 2.0, 5.0, 10.0):
        settings = AugmentSettings(randaugment_magnitude=magnitude)
        done, _ = augment(smooth, labels, settings, torch.Generator().manual_seed(0), 5)
        change.append((done.float() - smooth.float()).abs().mean().item())
    assert change[0] == 0
    assert change == sorted(change)


def test_float_images_are_grey_levels() -> None:
    """Float batches are rounded to levels, so a user's own loop may pass what it has."""
    images, labels = batch()
    from_float, _ = augment(images.float() + 0.2, labels, ALL, torch.Generator().manual_seed(0), 5)
    from_levels, _ = augment(images, labels, ALL, torch.Generator().manual_seed(0), 5)
    assert torch.equal(from_float, from_levels)
