"""Whether a search's short trainings rank architectures as long ones do: trains some of them both ways, and says."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from nas.claims.proxy_plan import LONGER, Grid, Proxy, Series, own_proxy, planned, proxies, recipe_of, unfinished
from nas.claims.proxy_scores import LEAST_ARCHITECTURES, Judge
from nas.claims.proxy_study import ProxyStudy, Trained, cheapest_as_good, contenders, measured, scores_of
from nas.claims.spread import Chosen, spread_of_run, spread_of_space
from nas.config.search import Config, absolute
from nas.config.train import TrainConfig, load_training, parse_training
from nas.data.prepare import Prepared, prepare_for_search
from nas.full_training.data import check_data, prepare_for_training
from nas.full_training.many import train_many
from nas.full_training.train import check_workers
from nas.full_training.trainings import Training
from nas.runs.folder import holds_something, make, read_trials
from nas.search.checks import space_for
from nas.search.given import Given, config_of, is_run
from nas.seeds import seed_of
from nas.trackers.callback import TrainingEnd
from nas.training.step import check_imports
from nas.whole_files import write_whole
from search_space.architecture import Architecture

PLAN, RESULT, PICTURE = "plan.json", "proxy.json", "proxy.png"
ARCHITECTURES = 12


@dataclass(frozen=True)
class Plan:
    """What a study of proxies is going to train."""

    folder: Path
    chosen: tuple[Chosen, ...]
    own: Proxy  # the search's
    series: tuple[Series, ...]  # that of the long recipe first
    note: str | None  # why trainings that differ in epochs alone are all needed

    @property
    def trainings(self) -> list[Training]:
        """Every training, series by series."""
        return [training for number in range(len(self.series)) for training in self.of_series(number)]

    def of_series(self, number: int) -> list[Training]:
        """Give the trainings of one series: architecture by architecture, its seeds beside each other."""
        series = self.series[number]
        return [
            Training(f"{series.name}/{each.architecture.arch_id}" + (f"-seed{one}" if number == 0 else ""), config)
            for each in self.chosen
            for one, config in enumerate(series.configs(each.architecture), start=1)
        ]


def plan_proxies(
    config: Given,
    *,
    long: TrainConfig | Mapping[str, Any] | os.PathLike[str] | str | None = None,
    long_epochs: int | None = None,
    grid: Grid | None = None,
    architectures: int | None = None,
    seeds: int = 2,
    seed: int | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> Plan:
    """Say what `study_proxies` would train; nothing is written, but for the cache of decoded images.

    Args, Raises: as it has them.
    """
    settings, place = config_of(config), _folder(config, folder)
    seed = settings.seed if seed is None else seed
    if seeds < 1:
        raise ValueError(f"seeds must be >= 1, got {seeds}")
    if architectures is not None and architectures < LEAST_ARCHITECTURES:
        raise ValueError(f"architectures must be >= {LEAST_ARCHITECTURES}, got {architectures}")
    chosen = _known(place, architectures) or _choose(config, settings, architectures or ARCHITECTURES, seed)
    recipe = _long_recipe(settings, long, long_epochs, chosen[0].architecture)
    recipe = replace(recipe, data=absolute(recipe.data))  # as the search's are
    numbered = [seed_of(seed, "trial", number) for number in range(seeds + 1)]
    asked = proxies(settings, grid or Grid())
    series = tuple(planned(recipe, settings, asked, numbered[1:], numbered[0]))
    return Plan(place, tuple(chosen), asked[0], series, unfinished(series))


def study_proxies(
    config: Given,
    *,
    long: TrainConfig | Mapping[str, Any] | os.PathLike[str] | str | None = None,
    long_epochs: int | None = None,
    grid: Grid | None = None,
    architectures: int | None = None,
    seeds: int = 2,
    seed: int | None = None,
    judge: Judge | None = None,
    folder: str | os.PathLike[str] | None = None,
    parallel: int | None = None,
    address: str | None = None,
    progress: bool = True,
) -> ProxyStudy:
    """Train a dozen architectures as a search does, by other proxies, and long; say how well each ranks them.

    The same call again goes on with a study that was stopped or killed; with more proxies or seeds it extends it. The
    folder has the trainings, `plan.json` (the architectures), `proxy.json` (a ProxyStudy) and `proxy.png`.

    Args:
        config: of a search: a Config, what a YAML file would hold, the path of one, or a run folder. Architectures are
            chosen from a run's log, spread over accuracy and step time; else from the space, spread over MACs and
            parameters.
        long: the recipe of the long trainings: what `nas train` takes; None = the search's own with more epochs.
        long_epochs: instead of the recipe's; without a recipe, default: four times the search's.
        grid: values that proxies are made of, besides the search's own proxy.
        architectures: how many; default: those of the folder, else 12.
        seeds: of long training. With two or more, its agreement with itself is the ceiling of what a proxy can reach.
        seed: of the choice of architectures and of all trainings; default: the search's.
        judge: confidence of intervals, number of resamples, which regrets.
        folder: of the study; default: `proxy` in the run folder, or `runs/NAME-proxy` of the YAML file.
        parallel: trainings at once; default: as many as fit.
        address: of a Ray cluster, such as `auto`; None = this machine.
        progress: whether to show a bar (lines, where that is no terminal or notebook) on standard error.
    Returns: what was found. Where trainings failed, the same call tries them again.
    Raises: ValueError for whatever the user can fix; nothing is written then. Signalled, a KeyboardInterrupt, on SIGINT
        or SIGTERM.
    """
    judge = judge or Judge()
    plan = plan_proxies(
        config,
        long=long,
        long_epochs=long_epochs,
        grid=grid,
        architectures=architectures,
        seeds=seeds,
        seed=seed,
        folder=folder,
    )
    _check_judge(judge, len(plan.chosen))
    data = [_prepared(series) for series in plan.series]
    with begun(plan):
        ends = train_many(plan.trainings, plan.folder, parallel=parallel, address=address, progress=progress)
    study = _study(plan, data, ends, judge)
    write_whole(plan.folder / RESULT, json.dumps(study.to_dict(), indent=1, allow_nan=False) + "\n")
    _draw(study, plan.folder / PICTURE)
    return study


# ---- what is asked


def _folder(config: Given, folder: str | os.PathLike[str] | None) -> Path:
    if folder is None:
        if not isinstance(config, str | os.PathLike):
            raise ValueError("a configuration made in Python needs a folder for its study")
        folder = Path(config) / "proxy" if is_run(config) else Path("runs") / f"{Path(config).stem}-proxy"
    folder = Path(folder)
    if holds_something(folder) and not (folder / PLAN).exists():
        raise ValueError(f"{folder} exists and is no study of proxies; choose another with --out")
    return folder


def _known(folder: Path, count: int | None) -> list[Chosen]:
    """Give the architectures of a study that was begun: a run's log may have grown since. None if there is none."""
    if not (folder / PLAN).exists():
        return []
    records = json.loads((folder / PLAN).read_text())["architectures"]
    if count is not None and count != len(records):
        raise ValueError(f"{folder} holds a study of {len(records)} architectures, not {count}; choose another --out")
    return [Chosen(**{**each, "architecture": Architecture.from_dict(each["architecture"])}) for each in records]


def _choose(given: Given, config: Config, count: int, seed: int) -> list[Chosen]:
    if is_run(given):
        folder = Path(given)  # type: ignore[arg-type]  # it is a path
        try:
            return spread_of_run(read_trials(folder), count, seed)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}; --architectures says how many") from None
    return spread_of_space(space_for(config, _of_search(config)), count, seed)


def _of_search(config: Config) -> Prepared:
    return prepare_for_search(config)


def _long_recipe(
    config: Config,
    given: TrainConfig | Mapping[str, Any] | os.PathLike[str] | str | None,
    epochs: int | None,
    architecture: Architecture,
) -> TrainConfig:
    if epochs is not None and epochs < 1:
        raise ValueError(f"long_epochs must be >= 1, got {epochs}")
    if given is None:
        own = own_proxy(config)
        return recipe_of(config, replace(own, epochs=epochs or LONGER * own.epochs), architecture)
    if isinstance(given, str | os.PathLike):
        return load_training(Path(given), architecture, {} if epochs is None else {"epochs": epochs})
    record = given.to_dict() if isinstance(given, TrainConfig) else dict(given)
    recipe = parse_training({**record, "architecture": architecture.to_dict()}, architecture)
    return recipe if epochs is None else replace(recipe, training=replace(recipe.training, epochs=epochs))


def _check_judge(judge: Judge, count: int) -> None:
    if not judge.top or min(judge.top) < 1 or max(judge.top) >= count:
        raise ValueError(f"top must be numbers from 1 to {count - 1}, got {', '.join(map(str, judge.top))}")
    if not 0 < judge.confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {judge.confidence}")


def _prepared(series: Series) -> Prepared:
    """Prepare the data of a series, and check that it can be trained."""
    recipe = series.recipe
    check_imports(recipe.training)
    check_workers(1, recipe)
    prepared = prepare_for_training(recipe, progress=True, say=lambda line: None)  # is said later
    check_data(prepared, recipe, test=False)
    return prepared


@contextlib.contextmanager
def begun(plan: Plan) -> Iterator[None]:
    """Write down what is going to be trained; take it back if it cannot be."""
    new = not (plan.folder / PLAN).exists()
    make(plan.folder)
    if new:
        records = [asdict(each) | {"architecture": each.architecture.to_dict()} for each in plan.chosen]
        write_whole(plan.folder / PLAN, json.dumps({"architectures": records}, indent=1) + "\n")
    try:
        yield
    except ValueError:
        if new:
            with contextlib.suppress(OSError):
                (plan.folder / PLAN).unlink()
                (plan.folder / ".lock").unlink(missing_ok=True)
                plan.folder.rmdir()
        raise


# ---- what came out


def _study(plan: Plan, data: Sequence[Prepared], ends: Sequence[TrainingEnd], judge: Judge) -> ProxyStudy:
    waiting, trained = list(ends), []
    for number, (series, prepared) in enumerate(zip(plan.series, data, strict=True)):
        of_series = [waiting.pop(0) for _ in plan.of_series(number)]
        came_to = measured(of_series, len(plan.chosen), series)
        trained.append(Trained(series, came_to, prepared.train, prepared.channels))
    scores = scores_of(trained, plan.own, judge)
    home = next(each for each in plan.series if plan.own in each.serves)
    own = next(score for score in scores if (score.name, score.epochs) == (home.name, plan.own.epochs))
    long, seeds = plan.series[0].recipe.training.epochs, len(plan.series[0].seeds)
    return ProxyStudy(
        folder=str(plan.folder),
        confidence=judge.confidence,
        top=judge.top,
        seeds=seeds,
        own=home.name,
        own_epochs=plan.own.epochs,
        long_epochs=long,
        contenders=contenders(plan.chosen, trained[0].measured),
        scores=scores,
        ceiling=next((each for each in scores if (each.name, each.epochs) == ("long", long)), None),
        cheapest=cheapest_as_good(scores, own),
        notes=tuple(_notes(plan, seeds)),
        failed=tuple(
            f"{training.name}: {end.status}: {end.error}"
            for training, end in zip(plan.trainings, ends, strict=True)
            if end.status != "ok"
        ),
    )


def _notes(plan: Plan, seeds: int) -> Iterator[str]:
    if plan.note:
        yield plan.note
    if seeds == 1:
        yield "long training has one seed: how well it agrees with itself, the ceiling of any proxy, is not known"


def _draw(study: ProxyStudy, path: Path) -> None:
    from nas.analysis.plots import proxies as picture  # waits for matplotlib and pandas

    picture(study.scores, study.own_score, study.ceiling).savefig(path, dpi=130)
