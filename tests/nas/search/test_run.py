"""What a search does around its trials; in place of Ray stands an engine that answers in this process."""

import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nas.cluster.protocol import Event, Stopped
from nas.config.search import load_config, search_config
from nas.data.prepare import prepare
from nas.runs.folder import TRIALS, WARM_START, is_locked, read_run, read_trials
from nas.runs.log import read_lines
from nas.runs.status import status
from nas.runs.trial import Trial
from nas.search.listed import run_listed
from nas.search.run import run_search
from nas.search.task import packages_of, task_of
from nas.seeds import seed_of
from nas.trackers.callback import Callback


def measured(architecture, seed, task, report):
    """An evaluator that is named and never called."""
    raise AssertionError("the engine here answers itself")


SECTIONS = {
    "space": {"name": "small", "image_size": 16},
    "image_size": 16,
    "seed": 5,
    "training": {"epochs": 4, "batch_size": 64},
    "algorithm": "random",
    "device": "cpu",
}


def configured(cache, *, search=None, **sections):
    data = {"source": "digits", "minival": 0.2, "cache_dir": str(cache)}
    search = {"trials": 3, "workers": 2, "evaluator": f"{__name__}:measured"} | (search or {})
    return search_config(**SECTIONS | {"data": data, "search": search} | sections)


class Heard(Callback):
    """Writes down what it is told; does not care for epochs."""

    live = False

    def __init__(self):
        self.searches, self.messages, self.ended = [], [], []

    def on_message(self, text):
        self.messages.append(text)

    def on_search_begin(self, search):
        self.searches.append(search)

    def on_trial_end(self, trial):
        self.ended.append(trial.trial_id)

    def on_search_end(self, search):
        self.searches.append(search)


class Live(Heard):
    """Wants to hear of epochs."""

    live = True

    def on_epoch(self, epoch, trial_id=None):
        pass


@pytest.fixture
def ray(monkeypatch):
    """Stands for Ray: what it was given, and what it does after a number of trials."""
    given = SimpleNamespace(jobs=[], engines=[], addresses=[], open=[], after=None, then=lambda: None, more={})

    class Process:
        def __init__(self, address):
            self.address, self.resources = address, {"CPU": 2.0}
            given.addresses.append(address)

        def start(self):
            given.open.append(self)

        def close(self):
            if self in given.open:
                given.open.remove(self)

        def log_to(self, path):
            given.log = path

    def run(ray, candidates, job, engine, *, on_event, on_message):
        given.jobs.append(job)
        given.engines.append(engine)
        done = 0
        while done != given.after and (candidate := candidates.next_candidate()):
            on_event(Event("started", candidate))
            answered = Trial(candidate.proposal.architecture, "ok", reward=0.1 * done, accuracy=0.5, **given.more)
            on_event(Event("finished", candidate, candidates.finish(candidate.trial_id, answered)))
            done += 1
        given.then()

    monkeypatch.setattr("nas.search.run.RayProcess", Process)
    monkeypatch.setattr("nas.search.run.run_on_ray", run)
    monkeypatch.setattr("nas.search.run.users_of_locks", frozenset)  # whatever else this machine does
    return given


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def searched(config, folder, **more):
    return run_search(config, folder=folder, progress=False, **more)


def test_the_engine_is_given_what_the_configuration_says(ray, cache, tmp_path):
    """How trials run, for how long and where; a setting that is left out would be a default, and nobody would know."""
    settings = {"cpus_per_trial": 0.5, "max_hours": 3.0, "time_limit_s": 50.0, "fresh_process": True}
    config = configured(cache, search=settings, plugins=["colorsys"])
    searched(config, tmp_path / "run")
    job, engine = ray.jobs[0], ray.engines[0]
    assert (engine.share.cpus, engine.share.gpus, engine.workers) == (0.5, 0, 2)
    assert (engine.max_hours, engine.fresh_process, engine.address, engine.judge) == (3.0, True, None, None)
    assert (job.epochs, job.time_limit_s, job.plugins) == (4, 50.0, ("colorsys",))
    assert (job.evaluator, job.packages) == (f"{__name__}:measured", packages_of(config))
    assert job.fingerprint == prepare(config.data, 16).fingerprint
    task = pickle.loads(job.task)
    kept = replace(config.data, storage="arrays")  # as the driver does, on every node
    assert (task.training, task.data, task.time_limit_s) == (config.training, kept, 50.0)
    assert task == task_of(config, prepare(config.data, 16))


def test_an_image_size_too_small_for_the_strides_is_said(ray, cache, tmp_path):
    """It can be searched, but half of each network would see a single pixel."""
    heard = Heard()
    searched(configured(cache, image_size=3), tmp_path / "run", callbacks=[heard])
    assert heard.messages[0].startswith("image_size 3 leaves 1 px before stage ")


def test_a_cluster_is_the_one_that_is_named(ray, cache, tmp_path):
    """Its nodes may have the evaluator that this machine lacks, and room for more trials than are there yet."""
    config = configured(cache, search={"evaluator": "not_here:evaluate", "workers": 7})
    heard = Heard()
    searched(config, tmp_path / "run", address="head:6379", callbacks=[heard])
    assert ray.addresses == ["head:6379"]
    assert ray.engines[0].address == "head:6379"
    assert (ray.engines[0].workers, heard.searches[0].workers) == (7, 7)
    assert heard.messages == ["connecting to Ray at head:6379"]
    with pytest.raises(ValueError, match=r"search\.evaluator 'not_here:evaluate' cannot be imported"):
        searched(config, tmp_path / "here")
    with pytest.raises(ValueError, match=r"search\.workers is 7, but only 2 trials fit on this machine"):
        searched(configured(cache, search={"workers": 7}), tmp_path / "here")
    assert not (tmp_path / "here").exists()
    assert not ray.open


@pytest.mark.parametrize(
    ("prune", "listener", "reports"), [("none", Heard, False), ("none", Live, True), ("asha", Heard, True)]
)
def test_workers_report_epochs_only_where_somebody_wants_them(ray, cache, tmp_path, prune, listener, reports):
    """A report costs the driver some milliseconds; whoever judges trials, or shows them live, needs it."""
    config = configured(cache, search={"prune": prune}, training={"epochs": 9, "batch_size": 64})
    searched(config, tmp_path / "run", callbacks=[listener()])
    assert ray.jobs[0].reports is reports
    assert (ray.engines[0].judge is not None) == (prune == "asha")


def test_listeners_hear_what_was_there_and_how_it_ended(ray, cache, tmp_path):
    """A search that is extended begins with the trials of before, and tells the new ones; Python is told the same."""
    config, heard = configured(cache), Heard()
    run = searched(config, tmp_path / "run", callbacks=[heard])
    begun, over = heard.searches
    assert (begun.state, begun.budget, begun.workers, len(begun.trials)) == ("running", 3, 2, 0)
    assert (over.state, len(over.trials), heard.ended) == ("finished", 3, [0, 1, 2])
    assert (run.ended.state, run.ended.signum, run.folder) == ("finished", None, tmp_path / "run")
    assert (begun.folder, begun.run_id) == (tmp_path / "run", read_run(tmp_path / "run")["run_id"])
    assert begun.config["training"]["epochs"] == 4
    assert heard.messages == ["starting Ray"]
    again = Heard()
    searched(config, tmp_path / "run", trials=5, callbacks=[again])
    assert [len(search.trials) for search in again.searches] == [3, 5]
    assert (again.searches[0].budget, again.ended) == (5, [3, 4])
    trials = read_trials(tmp_path / "run")
    assert [trial.seed for trial in trials] == [seed_of(5, "trial", number) for number in range(5)]
    assert len({trial.arch_id for trial in trials}) == 5
    assert {trial.run_id for trial in trials} == {begun.run_id}


def test_a_search_that_waited_for_its_data_says_so(ray, cache, tmp_path):
    """More than a tenth of the trainings' time, in the middle one, is the last line of a search."""
    ray.more, heard = {"data_wait_share": 0.25}, Heard()
    searched(configured(cache), tmp_path / "run", callbacks=[heard])
    assert heard.messages[-1].startswith("trainings waited for data 25 % of their time, median")


def test_a_signal_and_lateness_are_two_ends(ray, cache, tmp_path):
    """Whoever waits for a search is told which it was, and the number of the signal."""

    def stop():
        raise Stopped(15)

    ray.after, ray.then = 1, stop
    heard = Heard()
    ended = searched(configured(cache), tmp_path / "run", callbacks=[heard]).ended
    assert (ended.state, ended.signum, heard.searches[-1].state) == ("stopped", 15, "stopped")
    ray.then = lambda: None
    ended = searched(configured(cache), tmp_path / "run", callbacks=[heard]).ended
    assert (ended.state, ended.signum, heard.searches[-1].state) == ("out of time", None, "out of time")
    assert len(heard.searches[-1].trials) == 2


def test_an_error_ends_a_search_in_good_order(ray, cache, tmp_path):
    """Ray is ended, the folder is free, listeners hear of the failure, and the same call goes on."""

    def fail():
        raise ZeroDivisionError

    ray.after, ray.then, heard = 2, fail, Heard()
    with pytest.raises(ZeroDivisionError):
        searched(configured(cache), tmp_path / "run", callbacks=[heard])
    assert heard.searches[-1].state == "failed"
    assert not ray.open
    assert not is_locked(tmp_path / "run")
    ray.then = lambda: None
    searched(configured(cache), tmp_path / "run")
    assert sorted(trial.trial_id for trial in read_trials(tmp_path / "run")) == [0, 1, 2]


def test_a_running_search_holds_its_folder(ray, cache, tmp_path):
    """Status says that it runs, and a second one is refused; what Ray prints goes into the folder."""
    states = []

    def look():
        states.append(status(tmp_path / "run").state)
        ray.then = lambda: None
        with pytest.raises(ValueError, match=f"another search is running in {tmp_path / 'run'}"):
            searched(configured(cache), tmp_path / "run")

    for trials in (1, 2):  # a new folder, and one that is there
        ray.then = look
        searched(configured(cache), tmp_path / "run", trials=trials)
    assert states == ["running", "running"]
    assert ray.log == tmp_path / "run" / "ray.log"


def test_trials_of_earlier_searches_are_told_first(ray, cache, tmp_path):
    """From one folder or several; they are kept in the run, do not count, and are told again when it goes on."""
    searched(configured(cache), tmp_path / "one", trials=2)
    searched(configured(cache, seed=6), tmp_path / "other")
    for given, told in ((tmp_path / "one", 2), ([tmp_path / "one", str(tmp_path / "other")], 5)):
        heard, folder = Heard(), tmp_path / f"warm-{told}"
        searched(configured(cache), folder, warm_start=given, callbacks=[heard])
        assert heard.messages[-1] == f"{told} trials of earlier searches told"
        assert len(read_lines(folder / WARM_START)) == told
        known = {trial.arch_id for trial in read_trials(folder / WARM_START)}
        assert not known & {trial.arch_id for trial in read_trials(folder)}, "what was told is not proposed again"
        assert len(read_trials(folder)) == 3
    again = Heard()
    searched(configured(cache), folder, trials=4, callbacks=[again])
    assert again.messages[-1] == "5 trials of earlier searches told"
    searched(configured(cache), tmp_path / "begun", trials=1)
    with pytest.raises(ValueError, match="has trials already; a warm start is for a new run"):
        searched(configured(cache), tmp_path / "begun", warm_start=tmp_path / "one")


def test_a_list_is_evaluated_in_its_order_as_a_search_would(ray, cache, tmp_path):
    """Each once, whatever constraints, callbacks and early stopping the search has; the rest is the search's."""
    bounds = {"name": "small", "image_size": 16, "constraints": {"params_max": 20_000}}
    settings = {"prune": "asha", "max_hours": 1e-9, "trials": 99, "time_limit_s": 7.0, "cpus_per_trial": 0.5}
    given = configured(cache, space=bounds, search=settings, callbacks=["csv"])
    rng, space = np.random.default_rng(3), configured(cache).space
    listed = [space.sample(rng) for _ in range(4)]
    run = run_listed(listed, given, folder=tmp_path / "run", workers=1, progress=False)
    assert [trial.architecture for trial in run.trials] == listed
    assert (run.ended.state, run.folder) == ("finished", tmp_path / "run")
    job, engine = ray.jobs[0], ray.engines[0]
    assert (engine.workers, engine.share.cpus, engine.max_hours, engine.judge) == (1, 0.5, None, None)
    assert (job.time_limit_s, job.evaluator, job.reports) == (7.0, f"{__name__}:measured", False)
    assert (run.config["callbacks"], run.config["reference"]) == ([], given.reference.to_dict())
    assert not list(tmp_path.rglob("*.csv"))
    run_listed(listed[:1], given, folder=tmp_path / "there", address="head:6379", progress=False)
    assert (ray.engines[1].address, ray.engines[1].workers) == ("head:6379", 2)


def test_a_file_gives_its_run_its_name(ray, cache, tmp_path, monkeypatch):
    """`runs/NAME` of the file, a run folder itself; a configuration made in Python has no name."""
    monkeypatch.chdir(tmp_path)
    data = f"data: {{source: digits, minival: 0.2, cache_dir: {cache}}}\n"
    search = f"search: {{trials: 1, evaluator: '{__name__}:measured'}}\n"
    rest = "space: {name: small, image_size: 16}\nimage_size: 16\nalgorithm: random\ndevice: cpu\n"
    (tmp_path / "mine.yaml").write_text(data + search + rest)
    run = run_search("mine.yaml", progress=False)
    assert str(run.folder) == "runs/mine"
    assert str(run_search(run.folder, trials=2, workers=1, progress=False).folder) == "runs/mine"
    assert len(run.trials) == 2
    assert (ray.engines[0].workers, ray.engines[1].workers) == (None, 1)
    with pytest.raises(ValueError, match="made in Python needs a folder"):
        run_search(load_config("mine.yaml"), progress=False)


def test_plugins_of_a_call_are_those_of_its_run(ray, cache, tmp_path):
    """One or several, besides the configuration's: workers import them, and whoever reads the run does."""
    config = configured(cache, plugins=["colorsys"])
    searched(config, tmp_path / "run", plugins="wave")
    assert ray.jobs[0].plugins == ("colorsys", "wave")
    assert searched(config, tmp_path / "run", plugins=["wave"]).config["plugins"] == ["colorsys", "wave"]


def test_deaths_of_a_process_are_counted_to_the_configured_number(ray, cache, tmp_path, monkeypatch):
    """`max_attempts` of the configuration, also across a restart."""
    answers = []

    def run(ray, candidates, job, engine, *, on_event, on_message):
        number = candidates.next_candidate().trial_id
        while (answer := candidates.died(number, "segfault", timed_out=False, lost=False, out_of_memory=False)) is None:
            answers.append(candidates.next_candidate().attempt)
        answers.append(answer.status)

    monkeypatch.setattr("nas.search.run.run_on_ray", run)
    searched(configured(cache, search={"max_attempts": 4}), tmp_path / "run")
    assert answers == [2, 3, 4, "failed"]


def test_who_else_uses_the_device_is_said(ray, cache, tmp_path, monkeypatch):
    """Timing waits for it: nobody should wonder why nothing happens. Not where nothing here is timed."""
    monkeypatch.setattr("nas.search.run.users_of_locks", lambda: frozenset({1}))
    said = {}
    for name, more, address in (
        ("here", {}, None),
        ("unlocked", {"step_time": {"lock": False}}, None),
        ("cluster", {}, "head:6379"),
    ):
        heard = Heard()
        searched(configured(cache, **more), tmp_path / name, address=address, callbacks=[heard])
        said[name] = [text for text in heard.messages if "times or trains on this host, too" in text]
    assert [len(texts) for texts in said.values()] == [1, 0, 0]
    assert said["here"][0].startswith("process 1")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"training": {"epochs": 1, "objective": "nowhere:Loss"}}, "nowhere:Loss"),
        ({"training": {"epochs": 1, "optimizer": "nowhere:sgd"}}, "nowhere:sgd"),
        ({"training": {"batch_size": 5000}}, "training.batch_size 5000 is more than the 1150 training images"),
        ({"data": {"source": "digits", "minival": 0}}, "data.minival leaves no image"),
        ({"device": "cuda"}, "gpus_per_trial must be above 0"),
        ({"device": "cuda", "search": {"gpus_per_trial": 1}}, "cuda"),
    ],
)
def test_what_would_fail_every_trial_is_refused_before_ray_starts(ray, cache, tmp_path, monkeypatch, more, message):
    """Nothing is written then."""
    monkeypatch.setenv("NAS_CACHE", str(cache))
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ValueError, match=message):
        searched(configured(cache, **more), tmp_path / "run")
    assert not ray.addresses
    assert not (tmp_path / "run").exists()


def test_a_start_of_which_nothing_is_written_leaves_no_folder(ray, cache, tmp_path, monkeypatch):
    """Whatever it is that cannot be written down; folders that were there stay."""

    def full(*arguments):
        raise ValueError("cannot")

    monkeypatch.setattr("nas.search.run.open_run", full)
    with pytest.raises(ValueError, match="cannot"):
        searched(configured(cache), tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="cannot"):
        searched(configured(cache), tmp_path / "there")
    assert (tmp_path / "there").exists()
    assert not (tmp_path / "there" / TRIALS).exists()
