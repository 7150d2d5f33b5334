"""Many trainings on their way: what was done before, the engine, and who is told what."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from nas.cluster.process import RayProcess
from nas.cluster.protocol import Engine, Event, Job, Stopped
from nas.cluster.search import run as run_on_ray
from nas.config.train import TrainConfig, training_stages
from nas.data.prepare import Prepared
from nas.full_training.folder import METRICS, Weights, kept_state, mark, read_result, tested
from nas.full_training.metrics import whole_lines
from nas.full_training.one_of_many import EVALUATOR, Shared
from nas.full_training.run import training_end, training_info
from nas.full_training.share import places_for, share_of
from nas.full_training.trainings import Queue, Training
from nas.runs.folder import held, locked, provenance
from nas.runs.trial import Trial
from nas.signals import Signalled
from nas.trackers.callback import Callbacks, TrainingEnd, TrainingInfo
from nas.trackers.trainings import TrainingsDisplay, TrainingsProgress
from nas.trials import installed
from search_space import cost

LOG = "ray.log"


@dataclass(frozen=True)
class TrainingEvent:
    """Something that happened to one of many trainings."""

    kind: Literal["started", "epoch", "died", "ended"]  # died: its process did; it goes on, or ends
    training: Training
    epoch: Mapping[str, Any] | None = None  # of `epoch`: the fields of EpochResult
    end: TrainingEnd | None = None  # of `ended`; also of one that was finished before


class Study:
    """Trainings on their way."""

    def __init__(
        self,
        folder: Path,
        trainings: Sequence[Training],
        prepared: Sequence[Prepared],
        test: Weights | None,
        listeners: Sequence[Callbacks],
        on_event: Callable[[TrainingEvent], None],
    ) -> None:
        self.folder, self.trainings, self.prepared, self.test = folder, trainings, prepared, test
        self.listeners, self.on_event = listeners, on_event
        self.open: dict[int, Training] = {}  # those that have something to do, by number
        self.ends: dict[int, TrainingEnd] = {}
        self.infos: dict[int, TrainingInfo] = {}  # of those that were begun in this call
        self.told: dict[int, int] = {}  # epochs of each
        self.origins: dict[int, Mapping[str, Any]] = {}
        self.display: TrainingsDisplay | None = None

    def run(self, parallel: int | None, ray: RayProcess, display: TrainingsDisplay | None) -> None:
        """See what earlier calls have done, and train the rest.

        Raises: ValueError for a folder that holds another training, too few places; else see `train_many`.
        """
        self.display = display
        with contextlib.ExitStack() as stack:
            if known := self.folder.exists():
                stack.enter_context(locked(self.folder, "training"))
            self._find_finished()
            if not self.open:
                return
            here = ray.address is None
            if not ray.running:
                self._say("starting Ray" if here else f"connecting to Ray at {ray.address}")
                ray.start()
            configs = [each.config for each in self.open.values()]
            share, threads = share_of(configs, parallel, ray.resources, here=here)
            places = places_for(share, parallel, ray.resources, here=here)
            if not known:
                stack.enter_context(held(self.folder, "training"))
            ray.log_to(self.folder / LOG)
            for number, each in self.open.items():
                mark(self.folder / each.name, self.origins[number])
            workers = places if here else parallel  # other nodes may join a cluster
            with self._shown(min(places, len(self.open))):
                self._run(ray, self._job(threads), Engine(share, workers=workers, address=ray.address))

    def _find_finished(self) -> None:
        here = provenance()
        for number, training in enumerate(self.trainings):
            folder = self.folder / training.name
            kept = kept_state(folder, training.config, self.prepared[number])
            curve = () if kept is None else kept[0].curve
            begun = {**here, "run_id": f"{here['run_id']}-{number}"} if kept is None else kept[1]["provenance"]
            self.told[number], self.origins[number] = len(curve), begun
            if kept is not None and _is_finished(folder, training.config, self.test):
                self.ends[number] = training_end(folder, "ok", None, curve)
                self._tell("ended", number, end=self.ends[number])
            else:
                self.open[number] = training

    # ---- on Ray

    @contextlib.contextmanager
    def _shown(self, at_once: int) -> Iterator[None]:
        """Show how far all is, and tell of the end of what was begun."""
        progress = TrainingsProgress(self._work(), at_once)
        for number, training in enumerate(self.trainings):
            progress.count(training.name, self.told[number] / training.config.training.epochs)
            if number in self.ends:
                progress.end(training.name, "ok")
        before = f", {len(self.ends)} done before" if self.ends else ""
        self._say(f"{self.folder}: {len(self.trainings)} trainings, {at_once} at once{before}")
        if self.display is not None:
            self.display.begin(progress)
        try:
            yield
        finally:
            self._end_those_that_run()
            if self.display is not None:
                self.display.end()

    def _run(self, ray: RayProcess, job: Job, engine: Engine) -> None:
        queue = Queue({number: each.config.architecture for number, each in self.open.items()})

        def on_event(event: Event) -> None:
            if event.kind == "epoch":
                queue.progressed(event.candidate.trial_id)
            self._on_event(event)

        try:
            run_on_ray(ray, queue, job, engine, on_event=on_event, on_message=self._say)
        except Stopped as stopped:
            raise Signalled(stopped.signum) from None

    def _job(self, threads: int) -> Job:
        configs = [each.config for each in self.open.values()]
        return Job.of(
            Shared(self.folder.resolve(), self.open, self.origins, threads, self.test),
            plugins=tuple(dict.fromkeys(name for config in configs for name in config.plugins)),
            evaluator=EVALUATOR,
            epochs=1 + max(config.training.epochs for config in configs),  # so that the last one is a report, too
            time_limit_s=None,  # each training keeps its own
            reports=True,
            packages=packages_of(configs),
        )

    def _work(self) -> dict[str, float]:
        """Say how much work each training is."""
        return {each.name: _macs(each.config, data) for each, data in zip(self.trainings, self.prepared, strict=True)}

    # ---- what happens

    def _on_event(self, event: Event) -> None:
        number, progress = event.candidate.trial_id, self.display and self.display.progress
        training = self.trainings[number]
        if event.kind == "started":
            self._begin(number)
            if progress:
                progress.start(training.name)
            self._tell("started", number)
        elif event.kind == "died":
            if progress:
                progress.lose(training.name)
            self._tell("died", number)
        elif event.trial is not None:
            self._tell_epochs(number, event.trial)
            if progress:
                progress.count(training.name, self.told[number] / training.config.training.epochs)
            if event.kind == "finished":
                self._finish(number, event.trial)
        if self.display is not None:
            self.display.show(worth_a_line=event.kind in ("epoch", "finished"))

    def _begin(self, number: int) -> None:
        if number in self.infos:  # its process had died
            return
        training, prepared = self.trainings[number], self.prepared[number]
        curve = whole_lines(self.folder / training.name / METRICS)[: self.told[number]]
        info = training_info(
            self.folder / training.name, training.config, prepared, None, self.origins[number], "a worker of Ray's"
        )
        self.infos[number] = replace(info, curve=tuple(curve))
        self.listeners[number].on_train_begin(self.infos[number])

    def _tell_epochs(self, number: int, trial: Trial) -> None:
        """Tell of epochs that are new, each once, also where a training that went on repeats one."""
        for epoch in trial.curve[self.told[number] :]:
            self.told[number] += 1
            self.listeners[number].on_epoch(epoch)
            self._tell("epoch", number, epoch=epoch)

    def _finish(self, number: int, trial: Trial) -> None:
        training = self.trainings[number]
        folder = self.folder / training.name
        curve = trial.curve or whole_lines(folder / METRICS)  # of one that died only the folder knows
        self.ends[number] = training_end(folder, trial.status, trial.error, curve)
        self._begin(number)
        self.listeners[number].on_train_end(self.infos.pop(number), self.ends[number])
        if self.display is not None and self.display.progress is not None:
            self.display.progress.end(training.name, trial.status)
            if trial.status != "ok":
                self.display.failed(training.name, trial.status, trial.error)
        self._tell("ended", number, end=self.ends[number])

    def _end_those_that_run(self) -> None:
        """Tell callbacks of trainings that were begun that it is over for now: an end follows every begin."""
        for number, info in self.infos.items():
            early = training_end(info.folder, "stopped", "stopped", whole_lines(info.folder / METRICS))
            self.listeners[number].on_train_end(info, early)
        self.infos.clear()

    def _tell(
        self,
        kind: Literal["started", "epoch", "died", "ended"],
        number: int,
        epoch: Mapping[str, Any] | None = None,
        end: TrainingEnd | None = None,
    ) -> None:
        self.on_event(TrainingEvent(kind, self.trainings[number], epoch, end))

    def _say(self, text: str) -> None:
        if self.display is not None:
            self.display.say(text)


def _is_finished(folder: Path, config: TrainConfig, test: Weights | None) -> bool:
    result = read_result(folder)
    if result.get("status") != "ok" or result["epochs_done"] < config.training.epochs:
        return False
    return test is None or (result["test"] is not None and tested(result["test"]) == test)


def _macs(config: TrainConfig, prepared: Prepared) -> float:
    """Count the multiply-accumulates of all images of a training, forward."""
    classes, channels = prepared.num_classes, prepared.channels
    of_stages = (
        stage.epochs * cost.count(config.architecture, stage.strengths.image_size, classes, channels).macs
        for stage in training_stages(config)
    )
    return float(prepared.train * sum(of_stages))


def packages_of(configs: Iterable[TrainConfig]) -> tuple[str, ...]:
    """Give the user's packages that trainings use, by plug-in or as `module:Name`."""
    plugins, named = set[str](), set[str]()
    for config in configs:
        plugins.update(config.plugins)
        named |= {config.training.objective, config.training.optimizer, config.data.source}
    return installed.packages_of(plugins, named)
