"""Many trainings side by side: what is around Ray. The real thing is killed in tests/nas/claims/test_confirm.py."""

import json

import pytest

from nas.config.train import parse_training
from nas.full_training.many import train_many
from nas.full_training.share import places_for, share_of
from nas.full_training.train import train
from nas.full_training.trainings import Queue, Training
from nas.runs.trial import Trial
from nas.trackers.callback import Callback
from nas.trackers.trainings import TrainingsProgress
from search_space.block_strings import from_block_strings
from tests.trainings import curve

ARCHS = [from_block_strings(["r1_k3_s1_e1_i8_o8_c1", last]) for last in ("r1_k3_s2_e2_i8_o16", "r2_k3_s2_e2_i8_o16")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """Three epochs of 256 digits."""
    cache = tmp_path_factory.mktemp("cache")
    return {
        "data": {"source": "digits", "minival": 0.2, "subset": 256, "cache_dir": str(cache)},
        "training": {"epochs": 3, "batch_size": 64, "learning_rate": 0.1},
        "image_size": 8,
        "device": "cpu",
    }


def trainings_of(recipe, **changed):
    """Both architectures with two seeds, and one that fails: its first weights are nowhere."""
    made = [
        Training(f"{number}/seed-{seed}", parse_training(recipe | {"seed": seed} | changed, architecture))
        for number, architecture in enumerate(ARCHS)
        for seed in (1, 2)
    ]
    return [*made, Training("failing", parse_training(recipe | {"start_from": "/nowhere.pt"}, ARCHS[0]))]


class Heard(Callback):
    """Writes down how often it heard of what."""

    def __init__(self) -> None:
        self.began, self.epochs, self.ended = [], [], []

    def on_train_begin(self, training):
        self.began.append((training.folder.parent.name, training.folder.name))

    def on_epoch(self, epoch, trial_id=None):
        self.epochs.append(epoch["epoch"])

    def on_train_end(self, training, result):
        self.ended.append(result.status)


def test_each_is_what_it_would_be_alone_and_is_trained_once(recipe, tmp_path, without_ray):
    """One that fails has a status and stops no other; the same call again trains that one alone, others never again.

    Callbacks and events hear of every training and of each of its epochs once.
    """
    folder, heard, events, trainings = tmp_path / "many", Heard(), [], trainings_of(recipe)
    ends = train_many(trainings, folder, callbacks=[heard], on_event=events.append, progress=False)
    assert [end.status for end in ends] == ["ok"] * 4 + ["failed"]
    assert "/nowhere.pt" in ends[-1].error
    assert [end.folder for end in ends] == [folder / each.name for each in trainings]
    assert heard.ended == ["ok"] * 4 + ["failed"]
    assert len(heard.began) == len({*heard.began}) == 5
    assert heard.epochs == [0, 1, 2] * 4
    assert [event.kind for event in events[:5]] == ["started", "epoch", "epoch", "epoch", "ended"]
    alone = train(ARCHS[1], recipe | {"seed": 2}, folder=tmp_path / "alone", progress=False)
    assert curve(folder / "1" / "seed-2") == curve(tmp_path / "alone")
    assert (alone.accuracy, alone.best_epoch) == (ends[3].accuracy, ends[3].best_epoch)
    assert len({json.loads((folder / each.name / "train.json").read_text())["run_id"] for each in trainings[:4]}) == 4
    without_ray.clear()
    again = []
    assert train_many(trainings, folder, on_event=again.append, progress=False)[:4] == ends[:4]
    assert without_ray == [4]
    assert [event.kind for event in again[:4]] == ["ended"] * 4
    tested = train_many(trainings[:2], folder, test=True, progress=False)
    assert [end.test["images"] for end in tested] == [359, 359]


def test_a_stop_leaves_what_is_done_and_tells_of_the_end(recipe, tmp_path, without_ray):
    """What an event raises, as Ctrl-C would, ends it after the second epoch; the next call does the third alone."""

    def stop(event):
        if event.kind == "epoch" and event.epoch["epoch"] == 1:
            raise KeyboardInterrupt

    heard, going_on, trainings = Heard(), Heard(), trainings_of(recipe)[:1]
    with pytest.raises(KeyboardInterrupt):
        train_many(trainings, tmp_path, callbacks=[heard], on_event=stop, progress=False)
    assert (heard.epochs, heard.ended) == ([0, 1], ["stopped"])
    [end] = train_many(trainings, tmp_path, callbacks=[going_on], progress=False)
    assert (going_on.epochs, going_on.ended, end.epochs_done) == ([2], ["ok"], 3)
    train(ARCHS[0], recipe | {"seed": 1}, folder=tmp_path / "alone", progress=False)
    assert curve(end.folder) == curve(tmp_path / "alone")


@pytest.mark.parametrize(
    ("names", "parallel", "message"),
    [
        (["a", "a"], None, "trainings need names that are folders, each another, got 'a'"),
        (["../a"], None, "got '../a'"),
        ([""], None, "got ''"),
        (["a"], 0, "parallel must be >= 1, got 0"),
        (["a"], 1000, "parallel is 1000, but only"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(recipe, tmp_path, names, parallel, message, without_ray):
    """Names that are no folders of their own, and numbers that fit no machine."""
    config = parse_training(recipe, ARCHS[0])
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        train_many([Training(name, config) for name in names], tmp_path / "many", parallel=parallel, progress=False)
    assert not (tmp_path / "many").exists()


def test_a_folder_of_another_training_is_refused_before_anything_is_trained(recipe, tmp_path):
    """Another recipe under the same name would mix two studies; the line says what differs."""
    train(ARCHS[0], recipe | {"training": {"epochs": 1, "batch_size": 64}}, folder=tmp_path / "a", progress=False)
    with pytest.raises(ValueError, match=r"holds a training that would not go on as it began: training.epochs: 1 -> 3"):
        train_many([Training("a", parse_training(recipe, ARCHS[0]))], tmp_path, progress=False)


def test_a_training_whose_process_dies_goes_on_unless_it_gets_no_further():
    """Three deaths without an epoch in between end it, with an epoch they do not; what is stopped waits, in order."""
    queue = Queue(dict(enumerate(ARCHS)))
    died = {"timed_out": False, "lost": False, "out_of_memory": False}
    assert [queue.next_candidate().seed, queue.next_candidate().seed, queue.next_candidate()] == [0, 1, None]
    for _ in range(2):
        assert queue.died(1, "SIGSEGV", **died) is None
        assert queue.next_candidate().trial_id == 1
    queue.progressed(1)
    for _ in range(2):
        assert queue.died(1, "SIGSEGV", **died) is None
        assert queue.next_candidate().trial_id == 1
    trial = queue.died(1, "SIGSEGV", **died)
    assert (trial.status, trial.error) == (
        "failed",
        "its process died 3 times without an epoch in between: SIGSEGV",
    )
    assert queue.finish(1, trial) is None
    queue.stop()
    assert [*queue.waiting] == [0]
    assert not queue.done
    candidate = queue.next_candidate()
    assert (candidate.trial_id, candidate.attempt) == (0, 2)
    assert queue.finish(0, Trial(ARCHS[0], "ok")).status == "ok"
    assert queue.done


def test_memory_that_the_kernel_took_and_lost_nodes_are_said():
    """A process that was ended for memory is `oom` in the end; a lost node is counted apart, and more often."""
    queue = Queue({0: ARCHS[0]})
    for number in range(1, 10):
        queue.next_candidate()
        assert queue.died(0, "node went", timed_out=False, lost=True, out_of_memory=False) is None, number
    for _ in range(3):
        queue.next_candidate()
        trial = queue.died(0, "killed", timed_out=False, lost=False, out_of_memory=True)
    assert trial.status == "oom"


@pytest.mark.parametrize(
    ("device", "told", "parallel", "resources", "here", "expected"),
    [
        ("cpu", None, None, {"CPU": 8.0}, True, (1, 0.0, 1)),
        ("cpu", 3, None, {"CPU": 8.0, "GPU": 2.0}, True, (3, 0.0, 3)),
        ("auto", None, None, {"CPU": 8.0}, True, (1, 0.0, 1)),
        ("auto", None, None, {"CPU": 8.0, "GPU": 2.0}, True, (4, 1.0, 4)),
        ("auto", None, 4, {"CPU": 8.0, "GPU": 2.0}, True, (2, 0.5, 2)),
        ("cuda", None, 3, {"CPU": 8.0, "GPU": 2.0}, True, (2, 0.5, 2)),
        ("cuda", 2, 1, {"CPU": 8.0, "GPU": 2.0}, True, (2, 1.0, 2)),
        ("cuda", None, None, {"CPU": 64.0, "GPU": 8.0}, False, (1, 1.0, 1)),
    ],
)
def test_what_each_training_holds(recipe, device, told, parallel, resources, here, expected):
    """A GPU each where there are any, or a share of one where more are asked for at once; else a CPU thread."""
    config = parse_training(recipe | {"device": device, "execution": {"threads": told}}, ARCHS[0])
    share, threads = share_of([config] * 16, parallel, resources, here=here)
    assert (share.cpus, share.gpus, threads) == expected
    assert places_for(share, parallel, resources, here=here) >= (parallel or 1)


def test_the_line_says_how_many_are_trained_and_how_long_the_rest_takes():
    """The time left is by the work of what this call did, not by what was done before."""
    now = [0.0]
    progress = TrainingsProgress({"a": 100.0, "b": 100.0, "c": 200.0}, 2, clock=lambda: now[0])
    progress.count("a", 1.0)
    progress.end("a", "ok")
    assert progress.look() == (100.0, "1/3 trained, running 0/2, 0:00")
    now[0] = 10.0
    progress.start("b")
    progress.start("c")
    now[0] = 60.0
    progress.count("b", 0.5)
    progress.count("c", 0.25)
    assert progress.look() == (200.0, "1/3 trained, running 2/2, ETA 1:40, 1:00")
    progress.lose("c")
    progress.end("b", "nan")
    assert progress.look()[1].startswith("2/3 trained, nan 1, running 0/2, ETA")
