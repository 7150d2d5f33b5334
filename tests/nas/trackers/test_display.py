"""What the display says of a search and of a training: in a pipe, on a terminal, and in a notebook."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from nas.runs.trial import Trial
from nas.trackers import notebook, terminal
from nas.trackers.display import Display, fitting_screen
from nas.trackers.progress import SearchProgress, TrainProgress
from nas.trackers.terminal import Bar, Lines
from search_space.spaces import small


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self):
        return self.now


def piped():
    file = io.StringIO()
    return Display(screen=Lines(Console(file=file, width=80))), file


def test_a_search_in_a_pipe_says_where_it_is_and_what_failed_first(search):
    """The beginning, each of the first failures with its error, now and then a line, and the end."""
    display, file = piped()
    search.tell(display, 0, 12)
    lines = file.getvalue().splitlines()
    best = max((t for t in search.trials if t.reward is not None), key=lambda trial: trial.reward)
    assert lines[0] == f"{search.folder}: 12 trials, 2 at once"
    assert "trial 3 failed: ValueError: x" in lines
    end = f"12/12 ok 10, failed 1, oom 1, best {best.reward:.4f} (trial {best.trial_id}), busy 0/2, 0:00"
    assert lines[-1] == end
    assert len(lines) == 4, "one line of progress within half a minute"


def test_a_line_tells_of_busy_workers_when_the_next_trial_has_begun(search, monkeypatch):
    """Said when a trial ends, each line would show its worker idle; the last trials are told of as they end."""
    monkeypatch.setattr(terminal, "_PIPE_INTERVAL_S", -1.0)
    display, file = piped()
    display.on_search_begin(replace(search.info, budget=4))
    for number in range(4):
        display.on_trial_begin(number, None)
        if number:
            display.on_trial_end(replace(search.trials[0], trial_id=number - 1))
    display.on_trial_end(replace(search.trials[0], trial_id=3))
    lines = [line for line in file.getvalue().splitlines() if ", busy" in line]
    said = [re.search(r"^(./4) .* (busy ./2)", line).groups() for line in lines]
    assert said == [("1/4", "busy 2/2"), ("2/4", "busy 2/2"), ("3/4", "busy 1/2"), ("4/4", "busy 0/2")]


def test_the_end_is_said_once():
    """When the last trial is due a line of its own, the end does not say the same again."""
    file = io.StringIO()
    lines = Lines(Console(file=file, width=80))
    lines.start(16, lambda: (16, "16/16 ok 16"))
    lines.last_line = -float("inf")  # the last line was long ago
    lines.show(worth_a_line=True)
    lines.stop(worth_a_line=True)
    assert file.getvalue().splitlines() == ["16/16 ok 16"]


def test_a_search_that_goes_on_says_what_was_done_before(search):
    """Trials of before count as done, their failures are not told again."""
    display, file = piped()
    search.tell(display, 5, 6)
    assert file.getvalue().splitlines()[0].endswith("12 trials, 2 at once, 5 done before")
    assert "failed:" not in file.getvalue()


def test_no_more_than_three_failures_are_told(search):
    """A mistake of the user's fails every trial; three errors are enough to see it."""
    display, file = piped()
    display.on_search_begin(search.info)
    for number in range(6):
        display.on_trial_end(replace(search.trials[3], trial_id=number))
    assert file.getvalue().count("failed: ValueError: x") == 3


def test_the_time_left_of_a_search_is_that_of_new_trials(search):
    """Two new trials in 20 s leave 5 x 10 s for the five that are missing; those of before took no time now."""
    clock = Clock()
    progress = SearchProgress(replace(search.info, trials=search.trials[:5]), clock)
    progress.running |= {5, 6, 7}
    progress.count(search.trials[5])
    progress.count(search.trials[6])
    clock.now = 20.0
    done, line = progress.look()
    assert done == 7
    assert line.endswith("busy 1/2, ETA 0:50, 0:20")


def test_the_time_left_of_a_training_counts_pixels(training):
    """After two epochs of 16 px in 20 s, two of 32 px take four times as long each."""
    clock = Clock()
    progress = TrainProgress(replace(training.info, image_sizes=(16, 16, 32, 32)), clock)
    progress.count_step()
    clock.now = 20.0
    curve = [{"epoch": n, "seconds": 10.0, "accuracy": 0.5, "train_loss": 1.0, "image_size": 16} for n in (0, 1)]
    for epoch in curve:
        progress.count(epoch)
    assert progress.look()[1] == "epoch 2/4, train loss 1.0000, accuracy 0.5000, 16 px, ETA 1:20, 0:20"
    progress.count_step()
    progress.count_step()
    assert progress.look()[0] == 2 * 16**2 + 0.2 * 32**2, "two of the third epoch's ten steps"


def test_a_training_in_a_pipe(training):
    """The beginning, a line now and then, and the end; nothing of the end where no epoch was new."""
    display, file = piped()
    training.tell(display, 2, 4)
    lines = file.getvalue().splitlines()
    assert lines[0] == f"{training.folder}: 4 epochs on CPU, 2 done before"
    assert lines[-1].startswith("epoch 4/4, train loss 1.7000, accuracy 0.8000, 16 px")
    display, file = piped()
    training.tell(display, 4, 4)
    assert len(file.getvalue().splitlines()) == 1


def test_a_bar_on_a_terminal(search, training):
    """A terminal has one bar that ends full; lines stand above it."""
    file = io.StringIO()
    display = Display(screen=Bar(Console(file=file, width=120, force_terminal=True, color_system=None)))
    search.tell(display, 0, 12)
    assert "trial 3 failed: ValueError: x" in file.getvalue()
    assert "━" * 24 + " 12/12 ok 10" in file.getvalue().split("\r")[-1] + file.getvalue()
    training.tell(display, 0, 4)
    assert "epoch 4/4" in file.getvalue()


@pytest.mark.parametrize("screen", [Bar, Lines])
def test_what_is_said_is_no_markup(screen):
    """A path in brackets would vanish from an error message, or its closing tag would end the search."""
    file = io.StringIO()
    display = Display(screen=screen(Console(file=file, width=120)))
    display.on_message("cannot read [/data/x] of [bold]run[/]: :warning:")
    assert file.getvalue() == "cannot read [/data/x] of [bold]run[/]: :warning:\n"


def test_without_a_terminal_or_a_notebook_lines_are_shown(capsys):
    """Tests run in neither."""
    assert isinstance(fitting_screen(), Lines)


NOTEBOOK = """
import contextlib, io, sys
from dataclasses import replace
from nas.runs.folder import read_config, read_lines
from nas.runs.trial import Trial
from nas.trackers.callback import Callbacks, SearchInfo
from nas.trackers.display import Display
from pathlib import Path

folder = Path(FOLDER)
trials = [Trial.from_dict(record) for record in read_lines(folder / "trials.jsonl")]
info = SearchInfo(folder, "abc", read_config(folder), (), len(trials), 2, "running")
callbacks = Callbacks([Display()])
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    callbacks.on_message("starting <Ray>")
    callbacks.on_search_begin(info)
    for trial in trials:
        callbacks.on_trial_begin(trial.trial_id, None)
        callbacks.on_trial_end(trial)
    callbacks.on_search_end(replace(info, trials=trials, state="finished"))
callbacks.on_message("afterwards")
"""


@pytest.mark.filterwarnings("ignore")  # of Jupyter's own packages
def test_a_notebook_shows_one_output_that_changes(search):
    """In a real kernel a search leaves one output below its cell, with the bar full, whatever stdout is."""
    nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
    pytest.importorskip("ipykernel", reason="ipykernel is not installed")
    import nbformat

    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(NOTEBOOK.replace("FOLDER", repr(str(search.folder))))]
    )
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3").execute()
    [output] = book.cells[0].outputs
    shown, plain = output["data"]["text/html"], output["data"]["text/plain"].splitlines()
    assert "starting &lt;Ray&gt;" in shown
    assert plain[0] == "starting <Ray>"
    assert plain[1] == f"{search.folder}: 12 trials, 2 at once"
    assert plain[-2].startswith("12/12 ok 10, failed 1, oom 1, best ")
    assert plain[-1] == "afterwards"


def test_the_notebook_is_not_flooded(search, monkeypatch):
    """Changes less than half a second after another are left out; lines and the end are always shown."""
    drawn = []
    monkeypatch.setattr(notebook.NotebookBar, "_draw", lambda bar: drawn.append(bar._pictures()["text/plain"]))
    bar = notebook.NotebookBar()
    bar.last = float("inf")
    display = Display(screen=bar)
    search.tell(display, 0, 12)
    assert len(drawn) == 4, "where, the bar, one failure, the end"
    assert drawn[-1].splitlines()[-1].startswith("12/12 ok 10")


def test_the_best_of_repeats_is_a_mean(search):
    """Once an architecture was trained again, the line has the highest posterior mean, and beside it the best seen."""
    progress = SearchProgress(replace(search.info, trials=()))
    for trial in search.trials:
        progress.count(trial)
    assert "±" not in progress.look()[1]
    best = progress.best
    progress.count(replace(best, trial_id=12, reward=best.reward - 0.5, proposed_by="repeat"))
    line = progress.look()[1]
    assert f", seen {best.reward:.4f} (trial {best.trial_id})" in line
    assert float(line.partition("best ")[2].partition(" ±")[0]) < best.reward


def test_from_twenty_scored_architectures_on_the_line_says_what_more_would_gain(search):
    """Beside how well the best is known, where errors are."""
    progress = SearchProgress(replace(search.info, trials=()))
    space = small()
    for number, code in enumerate(space.sample_encodings(20, np.random.default_rng(0))):
        assert " more +" not in progress.look()[1]
        reward = 0.7 + 0.001 * (number % 7)
        progress.count(Trial(space.decode(code), "ok", trial_id=number, reward=reward, reward_se=0.002))
    assert re.search(r"best 0\.7060 \(trial 6\), 10 more \+0\.00\d+ of ±0\.00\d+, busy", progress.look()[1])
