"""What `reference.py` compares of augmentation: crops, RandAugment's operations, Mixup, CutMix, erasing.

Each function yields (what, beside what, largest difference, unit, what it may be).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps
from scipy import special
from torch import Tensor

from nas.data import crops, geometry, mixing
from nas.data.decode import squashed
from nas.data.policies import POLICIES, argument
from nas.data.randaugment import apply
from nas.data.settings import AugmentSettings

Fact = tuple[str, str, float, str, float]
Array = NDArray[np.float64]
Change = Callable[[Image.Image], Image.Image]
CROP = AugmentSettings(crop="resized")
SHAPES = ((400, 300), (200, 300), (300, 300), (900, 150))  # width, height
MAGNITUDES = (1.0, 5.0, 9.0, 10.0, 15.0)
GREY = (128, 128, 128)
_RANKS = "mean distance of ranks"


def generator(seed: int = 0) -> torch.Generator:
    """A stream of its own."""
    return torch.Generator().manual_seed(seed)


def distance(ours: Array, theirs: Array) -> float:
    """How far one sample's distribution is from another's of as many: the mean distance of equal ranks."""
    return float(np.abs(np.sort(ours) - np.sort(theirs)).mean())


def by_chance(draws: int) -> float:
    """What two samples of one distribution within [0, 1] hardly ever differ by."""
    return max(0.01, 1.2 / math.sqrt(draws))


# ---- crops


def standard_box(rng: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height as the usual RandomResizedCrop draws them: Szegedy et al. 2015, ten tries."""
    for _ in range(10):
        area, ratio = rng.uniform(0.08, 1) * width * height, math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            return int(rng.integers(width - wide + 1)), int(rng.integers(height - tall + 1)), wide, tall
    ratio = min(max(width / height, 3 / 4), 4 / 3)
    wide, tall = (width, round(width / ratio)) if width / height < ratio else (round(height * ratio), height)
    return (width - wide) // 2, (height - tall) // 2, wide, tall


def boxes(draws: int) -> Iterator[Fact]:
    """Where crops lie in the images as they were."""
    rng, names = np.random.default_rng(0), ("share of the area", "ratio", "centre across", "centre down")
    largest = dict.fromkeys(names, 0.0)
    for width, height in SHAPES:
        theirs = np.array([standard_box(rng, width, height) for _ in range(draws)], dtype=float).T
        aspects = torch.full((draws,), width / height)
        top, left, tall, wide = crops.random_boxes(aspects, 2000, CROP, generator()).double().numpy() / 2000
        ours = left * width, top * height, wide * width, tall * height
        for name, mine, usual in zip(names, _facts(*ours, width, height), _facts(*theirs, width, height), strict=True):
            largest[name] = max(largest[name], distance(mine, usual))
    for name, value in largest.items():
        yield (
            f"crop boxes, {name}",
            "RandomResizedCrop",
            value,
            "mean distance of ranks",
            0.02 if draws < 10_000 else 0.01,
        )


def _facts(left: Array, top: Array, wide: Array, tall: Array, width: int, height: int) -> tuple[Array, ...]:
    return wide * tall / (width * height), wide / tall, (left + wide / 2) / width, (top + tall / 2) / height


def sharpness(name: str, pictures: Sequence[Image.Image]) -> Iterator[Fact]:
    """Mean absolute Laplacian of the same crops out of the files and out of the squares that are kept of them."""
    rng, longest = (
        np.random.default_rng(0),
        int(np.percentile([max(each.size) for each in pictures], 90, method="lower")),
    )
    for size in (64, 112):
        kept = min(CROP.frame_size(size) or 0, longest)
        file, ours = [], []
        for picture in pictures:
            left, top, wide, tall = standard_box(rng, *picture.size)
            part = picture.crop((left, top, left + wide, top + tall)).resize((size, size), Image.Resampling.BILINEAR)
            file.append(laplacian(np.asarray(part)))
            across, down = kept / picture.width, kept / picture.height
            box = torch.tensor([[top * down], [left * across], [tall * down], [wide * across]]).round().to(torch.int64)
            whole = torch.from_numpy(squashed(picture.copy(), kept, 3).copy())[None]
            ours.append(laplacian(geometry.resized_crop(whole, box, size)[0].numpy()))
        change = abs(np.mean(ours) / np.mean(file) - 1)
        yield f"crops, sharpness at {size} px, {name} pictures", "cut out of the file", float(change), "share", 0.07


def laplacian(pixels: NDArray[np.uint8]) -> float:
    """Mean absolute Laplacian of an image (H, W, C)."""
    x = pixels.astype(float)
    around = x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]
    return float(np.abs(4 * x[1:-1, 1:-1] - around).mean())


def resized(images: Tensor) -> Iterator[Fact]:
    """Crops of whole pixels, enlarged and shrunk, as a CPU and as a GPU does them. images: (N, 128, 128, 3) uint8."""
    n = len(images)
    drawn = crops.random_boxes(torch.ones(n), 128, CROP, generator())
    ways: Mapping[str, Callable[[int], Tensor]] = {
        "a CPU's way": lambda size: geometry.resized_crop(images, drawn, size),
        "a GPU's way": lambda size: geometry._resized_by_matrices(size, images, drawn.T.float()),
    }
    for way, run in ways.items():
        largest = 0
        for size in (48, 128, 200):
            for image, (top, left, tall, wide), ours in zip(images, drawn.T.tolist(), run(size), strict=True):
                part = Image.fromarray(image.numpy()).crop((left, top, left + wide, top + tall))
                theirs = np.asarray(part.resize((size, size), Image.Resampling.BILINEAR))
                largest = max(largest, int(np.abs(ours.numpy().astype(int) - theirs).max()))
        yield f"resized crop, {way}", "Pillow's crop and resize", largest, "levels of 255", 1


# ---- RandAugment


def published(policy: str, magnitude: float, sign: int, size: int) -> dict[str, Change]:
    """Each operation by Pillow, with the arguments of the official code's or timm's definitions, written anew."""
    official = policy == "official"
    level = (magnitude if official else min(magnitude, 10.0)) / 10
    bits = min(int(level * 4), 8) if official else 4 - int(level * 4)
    threshold = int(level * 256) if official else 256 - int(level * 256)
    factor = level * 1.8 + 0.1 if official else max(0.1, 1 + sign * level * 0.9)
    move = sign * level * (100 if official else 0.45 * size)  # pixels
    added, slope = int(level * 110), sign * level * 0.3
    return {
        "autocontrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "invert": ImageOps.invert,
        "posterize": _levels(lambda v: v >> (8 - bits) << (8 - bits)),
        "solarize": _levels(lambda v: v if v < threshold else 255 - v),
        "solarize_add": _levels(lambda v: min(v + added, 255) if v < 128 else v),
        "saturation": lambda image: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(factor),
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(factor),
        "rotate": lambda image: image.rotate(sign * level * 30, fillcolor=GREY),
        "shear_x": _affine(1, slope, 0, 0, 1, 0),
        "shear_y": _affine(1, 0, 0, slope, 1, 0),
        "translate_x": _affine(1, 0, move, 0, 1, 0),
        "translate_y": _affine(1, 0, 0, 0, 1, move),
    }


def _levels(change: Callable[[int], int]) -> Change:
    return lambda image: image.point([change(value) for value in range(256)] * 3)


def _affine(*matrix: float) -> Change:
    return lambda image: image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=GREY)


def operations(images: Tensor) -> Iterator[Fact]:
    """Every operation of both policies at several magnitudes. images: (N, S, S, 3) uint8, S at least 128."""
    for policy in POLICIES:
        largest: dict[str, float] = {}
        for magnitude in MAGNITUDES:
            for sign in (-1, 1):
                for name, change in published(policy, magnitude, sign, images.shape[2]).items():
                    ours = _applied(images, policy, name, magnitude, sign)
                    theirs = np.stack([np.asarray(change(Image.fromarray(image.numpy()))) for image in images])
                    apart = np.abs(ours.numpy().astype(int) - theirs)
                    # Of what moves, a pixel on the edge between two may be either: how many differ, not by how much.
                    value = float((apart > 0).mean() if name == "rotate" else apart.max())
                    largest[name] = max(largest.get(name, 0.0), value)
        for name, value in largest.items():
            unit, bound = ("share of the pixels", 0.005) if name == "rotate" else ("levels of 255", 1.0)
            yield f"{policy}, {name}", "Pillow, published argument", value, unit, bound
        if "cutout" in POLICIES[policy]:
            yield _hole(images, policy)


def _applied(images: Tensor, policy: str, name: str, magnitude: float, sign: int) -> Tensor:
    n = len(images)
    drawn = {each: torch.full((n,), each == name) for each in POLICIES[policy]}
    value = argument(policy, name, magnitude, sign, images.shape[2])
    return apply(images.clone(), drawn, torch.full((n,), value, dtype=torch.float64), generator())


def _hole(images: Tensor, policy: str) -> Fact:
    black, largest = torch.zeros(200, *images.shape[1:], dtype=torch.uint8), 0
    for magnitude in (1.0, 5.0, 9.0):
        hole = (_applied(black, policy, "cutout", magnitude, 1) == GREY[0]).all(3)
        side = int(hole.any(2).sum(1).max())
        largest = max(largest, abs(side - 2 * int(magnitude / 10 * 40)))
    return f"{policy}, cutout", "twice int(4 M) pixels", largest, "pixels", 0


# ---- Mixup, CutMix, erasing


def mixed(draws: int) -> Iterator[Fact]:
    """Pixels by the shares that labels tell, and the distribution of these shares."""
    n, rng = 64, np.random.default_rng(2)
    images = torch.randint(0, 256, (n, 16, 16, 3), dtype=torch.uint8, generator=generator())
    labels = torch.eye(n)
    blended, soft = mixing.mixup(images, labels, 0.4, generator())
    share = soft.double().diagonal().numpy()[:, None, None, None]
    own, other = images.double().numpy(), images.flip(0).double().numpy()
    wanted = share * own + (1 - share) * other
    yield (
        "Mixup, pixels",
        "share x + (1 - share) y",
        float(np.abs(blended.numpy() - wanted).max()),
        "levels of 255",
        1e-3,
    )
    flat = torch.arange(n, dtype=torch.uint8)[:, None, None, None].expand(n, 24, 24, 1).contiguous()
    pasted, soft = mixing.cutmix(flat, labels, 1.0, generator())
    kept = (pasted == flat).double().mean((1, 2, 3))
    apart = float((kept - soft.double().diagonal()).abs().max())
    yield "CutMix, label", "share of pixels kept", apart, "share", 1e-6
    for alpha in (0.2, 1.0):
        mine = mixing.beta(draws, alpha, generator()).double().numpy()
        quantiles = special.betaincinv(alpha, alpha, (np.arange(draws) + 0.5) / draws)
        yield f"Beta({alpha:g}, {alpha:g})", "quantiles", distance(mine, quantiles), _RANKS, by_chance(draws)
    size = 64
    _, soft = mixing.cutmix(
        torch.zeros(draws, size, size, 1, dtype=torch.uint8), torch.eye(2).repeat(draws, 1)[:draws], 1.0, generator()
    )
    ours = soft[torch.arange(draws), torch.arange(draws) % 2].double().numpy()
    side, centre = np.sqrt(1 - rng.beta(1, 1, draws)) / 2, rng.random((2, draws))
    inside = np.prod(np.minimum(centre + side, 1) - np.maximum(centre - side, 0), axis=0)
    yield "CutMix, share kept", "clipped squares in float64", distance(ours, 1 - inside), _RANKS, by_chance(draws)


def erased(draws: int) -> Iterator[Fact]:
    """Which images, how much of them, with what: Zhong et al. 2020."""
    rng, n, size = np.random.default_rng(3), min(draws, 4000), 96
    images = torch.zeros(n, size, size, 1, dtype=torch.uint8)
    done = mixing.erase(images, 1.0, generator())
    rows, columns = (done != 0).any((2, 3)).sum(1).double().numpy(), (done != 0).any((1, 3)).sum(1).double().numpy()
    area, ratio = rng.uniform(0.02, 0.4, n), np.exp(rng.uniform(math.log(0.3), math.log(1 / 0.3), n))
    tall, wide = np.minimum(np.sqrt(area * ratio), 1), np.minimum(np.sqrt(area / ratio), 1)
    for name, mine, theirs in (("height", rows / size, tall), ("width", columns / size, wide)):
        yield f"erasing, {name}", "the paper's, cut to the image", distance(mine, theirs), _RANKS, by_chance(n)
    hit = (mixing.erase(images, 0.3, generator(1)) != 0).any((1, 2, 3)).double().mean()
    yield "erasing, share of images", "0.3", abs(float(hit) - 0.3), "share", 4 * math.sqrt(0.3 * 0.7 / n)
    levels = np.bincount(mixing.noise_like(images[:200], torch.arange(200)).flatten().numpy(), minlength=256)
    yield "erasing, share of a level", "1/256", float(np.abs(levels / levels.sum() * 256 - 1).max()), "of 1/256", 0.08
