"""What lies in an image folder: classes, splits of them, or one folder around it all; and which paths to give then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nas.data.sources.leftovers import is_leftover
from nas.data.sources.records import printable, some

_TRAIN = frozenset({"train", "training", "trainset", "traindata", "trn"})
_TEST = frozenset({"test", "testing", "testset", "testdata", "tests", "tst", "eval", "evaluation", "holdout"})
_VALID = frozenset({"val", "valid", "validation", "valset", "validset", "dev", "devset"})
_PARTS = frozenset({"fold", "part", "split", "batch", "subset", "extra", "pred", "unlabeled", "unlabelled"})
_DEEPEST = 3  # folders below the one that was named in which classes are sought, to advise


def is_train(name: str) -> bool:
    """Whether a name is that of a training split, however it is spelt: Train, TRAINING, seg_train, train2017."""
    return bool(_TRAIN & _words(name))


def is_held_out(name: str) -> bool:
    """Whether a name is that of a split to judge by: Test, test_set, valid, Validation, dev."""
    return bool((_TEST | _VALID) & _words(name))


def check_classes(folder: Path, held: Mapping[str, int], least: int) -> None:
    """Refuse a folder whose folders are no classes, or fewer than two; say what lies where and which paths to give.

    A class may be called `train` or `test tube`: it is taken for a split if it holds folders where a class would hold
    images, beside another such one, or if there is no folder that is called otherwise.

    Args:
        held: how many images each of its folders holds itself, not in folders of its own.
        least: how many classes there must be.
    Raises: ValueError.
    """
    named = [name for name in held if is_train(name) or is_held_out(name)]
    around = [name for name in held if held[name] == 0 and (name in named or _PARTS & _words(name))]
    splits = len(around) > 1 or (len(named) == len(held) > 1 and any(is_train(name) for name in named))
    if len(held) >= least and not splits:
        return
    what = "splits of a data set, no classes" if splits else "fewer than two classes"
    lies = "; ".join(_contents(folder, name, held[name]) for name in list(held)[:8]) or "no folders"
    raise ValueError(f"{printable(folder)} has {what}: {lies}. {_advice(folder)}")


def about_folders(part: str, inner: Sequence[frozenset[str]]) -> Iterator[str]:
    """Say where folders below those of classes look like the classes, or like splits: each class's has the same ones.

    Args:
        inner: the folders with images in each class's.
    """
    same = sorted(frozenset.intersection(*inner)) if inner else []
    if len(same) > 1:
        yield (
            f"{part}: every class holds the folders {some([printable(name) for name in same])}: their images are all "
            "taken for the class's; if these are the classes, or splits of them, give other paths"
        )


def _words(name: str) -> set[str]:
    """The words of a name, in lower case: `SegTrain_2` has seg and train."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return set(re.findall(r"[a-z]+", spaced.lower()))


def _contents(folder: Path, name: str, images: int) -> str:
    below = [printable(place.name) for place in _folders(folder / name)]
    found = ([f"the folders {some(below)}"] if below else []) + ([f"{images} images"] if images else [])
    return f"{printable(name)} holds {' and '.join(found) or 'no images'}"


def find_splits(folder: Path) -> tuple[Path | None, Path | None]:
    """Give the folders of classes to train on and to test with, below a folder or the folder itself.

    Returns: train, None where there is none; test, None where there is none.
    """
    roots = [place for place in _below(folder, _DEEPEST) if _holds_classes(place)]
    words = {place: _words(str(place.relative_to(folder))) for place in roots}
    test = next((place for kind in (_TEST, _VALID) for place in roots if kind & words[place]), None)
    others = [place for place in roots if place != test]
    train = next((place for place in others if _TRAIN & words[place]), others[0] if others else None)
    return train, test


def _advice(folder: Path) -> str:
    train, test = find_splits(folder)
    if train is None:
        return "Two or more folders of images, one a class, are needed"
    return f"Set data.path to {printable(train)}" + (f" and data.test_path to {printable(test)}" if test else "")


def _below(folder: Path, depth: int) -> Iterator[Path]:
    for place in _folders(folder):
        yield place
        if depth > 1:
            yield from _below(place, depth - 1)


def _holds_classes(place: Path) -> bool:
    """Whether there are two folders or more, each with a file in it."""
    folders = list(_folders(place))
    return len(folders) > 1 and all(any(file.is_file() for file in below.iterdir()) for below in folders)


def _folders(folder: Path) -> Iterator[Path]:
    yield from (place for place in sorted(folder.iterdir()) if place.is_dir() and not is_leftover(place.name))
