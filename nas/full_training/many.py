"""Many full trainings side by side on Ray: a folder each, and the same call goes on after whatever stopped it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from nas.cluster.process import RayProcess
from nas.config.search import absolute
from nas.config.train import TrainConfig, frame_size, largest_image_size
from nas.data.prepare import Prepared
from nas.full_training.data import check_data, prepare_for_training
from nas.full_training.folder import Weights, check_folder, check_weights
from nas.full_training.study import Study, TrainingEvent
from nas.full_training.train import check_workers, listeners_of
from nas.full_training.trainings import Training
from nas.plugins import load as load_plugins
from nas.trackers.callback import Callback, Callbacks, TrainingEnd
from nas.trackers.display import Display
from nas.trackers.trainings import TrainingsDisplay
from nas.training.step import check_imports


def train_many(
    trainings: Sequence[Training],
    folder: str | os.PathLike[str],
    *,
    parallel: int | None = None,
    address: str | None = None,
    ray: RayProcess | None = None,
    test: bool = False,
    weights: Weights = "final",
    plugins: Sequence[str] | str = (),
    callbacks: Iterable[Callback | str | Mapping[str, Any]] = (),
    on_event: Callable[[TrainingEvent], None] = lambda event: None,
    progress: bool = True,
) -> list[TrainingEnd]:
    """Train each in a folder of its own, as `train` does; the same call again goes on, and trains none that is done.

    Trainings run as trials of a search do: in processes of Ray's, one CPU thread each unless their
    `execution.threads` says otherwise, one GPU each where there are any. One that fails is a status and stops no
    other;     one whose process dies goes on from its last checkpoint. What did not end `ok` the next call tries again.

    Args:
        trainings: started in this order; their names are folders under `folder`, each another.
        folder: of all of them; made if it is not there. On a cluster all nodes must see it under the same path.
        parallel: at most so many at once, also where that means several on one GPU; default: as many as fit, with a
            GPU each.
        address: of a Ray cluster, such as `auto`; None = this machine.
        ray: in place of `address`, for who does more with it: it is started if it is not, and left to who gave it.
        test, weights: as of `train`: whether to evaluate on the test split, and which weights.
        plugins: modules to import here and in every worker, besides those that the configurations name.
        callbacks: by name: made anew for each training, besides those of its configuration, and told of it as in
            `train`, in this process; steps are not told. A callback that is an object hears all trainings.
        on_event: called in this process as trainings start, finish an epoch, and end.
        progress: whether to show a bar (lines, where that is no terminal or notebook) on standard error.
    Returns: what became of each, in their order.
    Raises: ValueError for whatever the user can fix; nothing is trained then. Signalled, a KeyboardInterrupt, on SIGINT
        or SIGTERM, after what ran has ended. RayFailed if Ray fails again and again.
    """
    names = [plugins] if isinstance(plugins, str) else plugins
    load_plugins(names)
    trainings, folder = [_ready(each, names) for each in trainings], Path(folder)
    check_weights(weights)
    _check(trainings, folder, parallel)
    listeners = [_listeners(each.config, callbacks) for each in trainings]
    prepared = _prepared(trainings, test)
    study = Study(folder, trainings, prepared, weights if test else None, listeners, on_event)
    with nullcontext(ray) if ray is not None else closing(RayProcess(address)) as process:
        study.run(parallel, process, TrainingsDisplay() if progress else None)
    return [study.ends[number] for number in range(len(trainings))]


def _ready(training: Training, names: Sequence[str]) -> Training:
    """Give a training that a worker can do, in whatever folder it runs."""
    config = training.config
    start = config.start_from and str(Path(config.start_from).expanduser().absolute())
    plugins = tuple(dict.fromkeys((*config.plugins, *names)))
    return replace(training, config=replace(config, plugins=plugins, data=absolute(config.data), start_from=start))


def _check(trainings: Sequence[Training], folder: Path, parallel: int | None) -> None:
    if parallel is not None and parallel < 1:
        raise ValueError(f"parallel must be >= 1, got {parallel}")
    for name, count in Counter(each.name for each in trainings).items():
        path = PurePosixPath(name)
        if count > 1 or path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError(f"trainings need names that are folders, each another, got {name!r}")
    for each in trainings:
        check_folder(folder / each.name)
        check_imports(each.config.training)
        check_workers(1, each.config)


def _listeners(config: TrainConfig, callbacks: Iterable[Callback | str | Mapping[str, Any]]) -> Callbacks:
    made = listeners_of(config, callbacks)
    return Callbacks(one for one in made.each if not isinstance(one, Display))  # of one training; there is one for all


def _prepared(trainings: Sequence[Training], test: bool) -> list[Prepared]:
    """Prepare the data of each, those that are the same once."""
    known: dict[Any, Prepared] = {}
    found = []
    for config in (each.config for each in trainings):
        key = repr(config.data), largest_image_size(config), frame_size(config)
        if key not in known:
            known[key] = prepare_for_training(config, progress=True)
        check_data(known[key], config, test)
        found.append(known[key])
    return found
