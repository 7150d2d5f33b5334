"""Do the images need a network at all? What classifiers without one come to, on the same splits."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.config.search import Config
from nas.cpus import available_cpus
from nas.data.prepare import Prepared, SplitName, load_split, prepare
from rewards.uncertainty import accuracy_error

logger = logging.getLogger(__name__)
Pixels = NDArray[np.float32]  # (N, H * W * C), 0..1


@dataclass(frozen=True)
class ClassicalBaseline:
    """What one classifier came to."""

    method: str
    accuracy: float  # on minival
    accuracy_se: float  # its standard error, from the minival's size
    test_accuracy: float | None  # None = not asked for
    test_accuracy_se: float | None
    fit_s: float  # wall time
    fit_cpu_s: float  # of all threads
    images_per_s: float  # predicted
    train_images: int
    features: int  # numbers an image
    threads: int


def _random_forest(seed: int, threads: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=200, n_jobs=threads, random_state=seed)


def _linear_svm(seed: int, threads: int) -> Any:
    # By averaged stochastic gradient descent: its time grows with the images, where the exact solver's explodes.
    from sklearn.linear_model import SGDClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    svm = SGDClassifier(loss="hinge", alpha=1e-3, average=True, n_jobs=threads, random_state=seed)
    return make_pipeline(StandardScaler(), svm)


def _gradient_boosting(seed: int, threads: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed)


# Name -> makes a scikit-learn classifier of a seed and a number of threads.
CLASSICAL: dict[str, Callable[[int, int], Any]] = {
    "random_forest": _random_forest,
    "linear_svm": _linear_svm,
    "gradient_boosting": _gradient_boosting,
}


def classical_baselines(
    config: Config,
    methods: Sequence[str] = tuple(CLASSICAL),
    *,
    image_size: int | None = None,
    test: bool = False,
    threads: int | None = None,
    say: Callable[[ClassicalBaseline], None] | None = None,
) -> list[ClassicalBaseline]:
    """Fit classifiers to the pixels of a search's training images and judge them as its candidates are judged.

    Images are as evaluation sees them: centres, not augmented. Nothing is tuned: who needs more should tune.

    Args:
        config: of a search, whose data, minival and seed are taken.
        methods: keys of `CLASSICAL`.
        image_size: pixels; default: the search's.
        test: whether they are judged on the test images, too.
        threads: default: as many as there are CPUs for this process.
        say: is told of each as it is done.
    Returns: one record each, in their order.
    Raises: ValueError for an unknown method, a size or threads below 1, a data set without minival, or without test
        images if these are asked for.
    """
    if unknown := [name for name in methods if name not in CLASSICAL]:
        raise ValueError(f"unknown method {unknown[0]!r}; known: {', '.join(CLASSICAL)}")
    if not methods:
        raise ValueError(f"methods must name at least one of {', '.join(CLASSICAL)}")
    for name, value in (("image_size", image_size), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be >= 1, got {value!r}")
    prepared = prepare(replace(config.data, storage="arrays"), image_size or config.image_size)
    names: tuple[SplitName, ...] = ("train", "minival", "test") if test else ("train", "minival")
    parts = {name: _pixels(prepared, name) for name in names}
    found = []
    for method in methods:
        found.append(_judged(method, parts, config.seed, threads or available_cpus()))
        logger.info("%s: accuracy %.4f after %.0f s", method, found[-1].accuracy, found[-1].fit_s)
        if say is not None:
            say(found[-1])
    return found


def _pixels(prepared: Prepared, name: SplitName) -> tuple[Pixels, NDArray[np.int64]]:
    split = load_split(prepared, name)
    images = np.empty((len(split.indices), math.prod(split.images.shape[1:])), np.float32)
    for row, index in enumerate(split.indices):  # one by one: a copy of all as bytes would come on top
        images[row] = split.images[index].ravel()
    images /= 255
    return images, split.labels


def _judged(
    method: str, parts: dict[SplitName, tuple[Pixels, NDArray[np.int64]]], seed: int, threads: int
) -> ClassicalBaseline:
    from threadpoolctl import threadpool_limits

    pixels, labels = parts["train"]
    with threadpool_limits(threads):
        classifier = CLASSICAL[method](seed, threads)
        began, began_cpu = time.perf_counter(), time.process_time()
        classifier.fit(pixels, labels)
        fit_s, fit_cpu_s = time.perf_counter() - began, time.process_time() - began_cpu
        began = time.perf_counter()
        accuracies = {name: _accuracy(classifier, *part) for name, part in parts.items() if name != "train"}
        images = sum(len(part[1]) for name, part in parts.items() if name != "train")
        images_per_s = images / (time.perf_counter() - began)
    errors = {name: accuracy_error(value, len(parts[name][1])) for name, value in accuracies.items()}
    return ClassicalBaseline(
        method, accuracies["minival"], errors["minival"], accuracies.get("test"), errors.get("test"), fit_s, fit_cpu_s,
        images_per_s, len(labels), pixels.shape[1], threads,
    )  # fmt: skip


def _accuracy(classifier: Any, pixels: Pixels, labels: NDArray[np.int64]) -> float:
    return float((classifier.predict(pixels) == labels).mean())
