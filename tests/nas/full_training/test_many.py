"""Many trainings side by side on Ray: really killed, gone on with, and each what `nas train` would have made."""

import json
import signal
import subprocess
import sys
import time

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

ARCHS = [from_block_strings(["r1_k3_s1_e1_i8_o8_c1", last]) for last in ("r1_k3_s2_e2_i8_o16", "r2_k3_s2_e2_i8_o16")]
TIMES = ("seconds", "images_per_s")


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


def curve(folder):
    """The metrics without times."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


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


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_many import trainings_of
from nas.full_training.many import train_many
train_many(trainings_of(json.loads(sys.argv[2])), sys.argv[3])
"""


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # of Ray's own modules
def test_killed_trainings_go_on_and_are_what_each_alone_would_be(recipe, tmp_path, request, monkeypatch):
    """`kill -9` after the first epochs; the same call trains what is left, to the numbers of `train`; a third nothing.

    One of them fails: it has a status and stops no other.
    """
    folder, here = tmp_path / "many", str(request.path.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, here, json.dumps(recipe), str(folder)], stderr=subprocess.PIPE, text=True
    )
    first = folder / "0" / "seed-1" / "metrics.jsonl"
    end = time.monotonic() + 120
    while not (first.exists() and first.read_text()):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (folder / "1" / "seed-2" / "result.json").exists(), "killed too late to prove anything"
    heard, events = Heard(), []
    trainings = trainings_of(recipe)
    ends = train_many(trainings, folder, callbacks=[heard], on_event=events.append, progress=False)
    assert [end.status for end in ends] == ["ok"] * 4 + ["failed"]
    assert "/nowhere.pt" in ends[-1].error
    assert [end.folder for end in ends] == [folder / each.name for each in trainings]
    assert len(heard.ended) == len(heard.began) == len({*heard.began})
    assert sum(event.kind == "ended" for event in events) == 5
    assert sum(event.kind == "epoch" for event in events) == len(heard.epochs) < 12
    alone = train(ARCHS[1], recipe | {"seed": 2}, folder=tmp_path / "alone", progress=False)
    assert curve(folder / "1" / "seed-2") == curve(tmp_path / "alone")
    assert (alone.accuracy, alone.best_epoch) == (ends[3].accuracy, ends[3].best_epoch)
    assert len({json.loads((folder / each.name / "train.json").read_text())["run_id"] for each in trainings[:4]}) == 4
    monkeypatch.setattr("nas.full_training.many.RayProcess", Refusing)  # nothing is left to do: it is not started
    assert train_many(trainings[:4], folder, progress=False) == ends[:4]


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
def test_what_cannot_be_is_one_line_and_writes_nothing(recipe, tmp_path, names, parallel, message, monkeypatch):
    """Names that are no folders of their own, and numbers that fit no machine."""
    monkeypatch.setattr("nas.full_training.many.RayProcess", TwoCpus)
    config = parse_training(recipe, ARCHS[0])
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        train_many([Training(name, config) for name in names], tmp_path / "many", parallel=parallel, progress=False)
    assert not (tmp_path / "many").exists()


class TwoCpus:
    """Ray as far as it is asked how much there is."""

    address, running = None, False

    def __init__(self, address):
        self.resources = {"CPU": 2.0}

    def start(self):
        pass

    def close(self):
        pass


class Refusing(TwoCpus):
    """Ray where it should not be started."""

    def start(self):
        raise AssertionError("it was started")


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
