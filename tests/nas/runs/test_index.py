"""A large log is read from columns kept beside it, which give what its lines give and are never trusted over them."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from nas.analysis import load, load_epochs
from nas.analysis.frame import completed, load_numbers
from nas.cli import main
from nas.config.search import parse
from nas.runs import folder, index
from nas.runs.folder import read_trials
from nas.runs.summary import summary
from nas.runs.trial import Trial

CONFIG = parse({"space": {"name": "small", "image_size": 16}, "image_size": 16})
SPACE = CONFIG.space
DRAWN = [SPACE.decode(code) for code in SPACE.sample_encodings(40, np.random.default_rng(0))]

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(2**62, 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "a", "ä\n", "curve", '"curve":[']),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["curve", "x"]), st.lists(st.integers(), max_size=2), max_size=2),
)
numbers = st.one_of(st.none(), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False))


@st.composite
def records(draw):
    """A line of a log: what searches write, and what plug-ins, later versions and editors may."""
    record = Trial(
        draw(st.sampled_from(DRAWN)),
        draw(st.sampled_from(["ok", "ok", "failed", "pruned"])),
        trial_id=draw(st.integers(0, 9)),
        run_id=draw(st.sampled_from(["", "r1"])),
        parents=tuple(draw(st.lists(st.sampled_from(["a", "b"]), max_size=2))),
        proposal=draw(st.dictionaries(st.sampled_from(["log_prob", "curve"]), numbers, max_size=2)),
        error=draw(st.sampled_from([None, "x", 'said "curve":[1]', "two\nlines"])),
        reward=draw(numbers),
        accuracy=draw(st.one_of(st.none(), st.floats(0, 1))),
        params=draw(st.one_of(st.none(), st.integers(0, 10**6))),
        step_time_converged=draw(st.sampled_from([None, True, False])),
        metrics=draw(st.dictionaries(st.sampled_from(["top5", "latency"]), numbers, max_size=2)),
        curve=tuple(
            draw(
                st.lists(
                    st.fixed_dictionaries({"epoch": st.integers(0, 3)}, optional={"loss": numbers, "odd": values}),
                    max_size=3,
                )
            )
        ),
    ).to_dict()
    record |= draw(st.dictionaries(st.sampled_from(["later", "own"]), values, max_size=2))
    for name in draw(
        st.sets(st.sampled_from(["arch_id", "curve", "schema_version", "minival_images", "loss"]), max_size=2)
    ):
        record.pop(name)
    return record


def plain(frame):
    """Rows with what is not known as None, and the types of the rest."""
    return [
        {name: None if value is None or value != value else (type(value), value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def written(path, lines):
    path.write_bytes(b"".join(lines))


def line_of(record, ends=b"\n"):
    return json.dumps(record, separators=(",", ":")).encode() + ends


def same(one, other):
    """Two tables, to the type of every value."""
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    for name in one.columns:
        if one[name].dtype == object:
            assert [(type(v), repr(v)) for v in one[name]] == [(type(v), repr(v)) for v in other[name]]


@pytest.fixture
def large(monkeypatch):
    """Every log counts as large, and a part holds some lines."""

    def set_to(size, block=3000):
        for module in (folder, index):
            monkeypatch.setattr(module, "LARGE", size)
        monkeypatch.setattr(index, "_BLOCK", block)

    set_to(0)
    return set_to


def parts_on_disk(run):
    return sorted(path.name for path in (run / ".index").glob("*.arrow"))


@settings(
    max_examples=15,
    database=None,
    phases=[Phase.generate],  # to make an example smaller takes long
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    lines=st.lists(records(), min_size=1, max_size=12),
    steps=st.integers(1, 3),
    blank=st.booleans(),
    of_run=st.booleans(),
)
def test_columns_give_what_lines_give(tmp_path_factory, large, lines, steps, blank, of_run):
    """Tables, curves, records and the best are the same to the type of each value, whichever way a log is read."""
    run = tmp_path_factory.mktemp("run")
    log = run / "trials.jsonl"
    if of_run:
        folder.create(run, CONFIG.to_dict())
    texts = [line_of(record, b"\n\n" if blank else b"\n") for record in lines]
    for step in range(1, steps + 1):  # it grows, and is read between
        written(log, texts[: -(-len(texts) * step // steps)])
        large(0)
        found = load(log), load_epochs(log), read_trials(log), summary(log)
        again = load(log)
        places = [*range(len(again))][::-2]
        numbers = load_numbers(log)
        some = completed(numbers.loc[places], log)
        large(1 << 30)
        same(found[0], load(log))
        same(numbers, load(log)[[*numbers.columns]])
        assert plain(some) == plain(load(log)[[*some.columns]].loc[places])
        same(again, found[0])
        same(found[1], load_epochs(log))
        assert found[2] == read_trials(log)
        assert [trial.to_dict() for trial in found[2]] == [trial.to_dict() for trial in read_trials(log)]
        assert [trial.arch_id for trial in found[2]] == [trial.arch_id for trial in read_trials(log)]
        assert found[3] == summary(log)


@pytest.fixture
def logged(run, large):
    """A run that has been read once: twelve trials, and their columns."""
    expected = load(run), load_epochs(run)
    assert parts_on_disk(run)
    return run, expected


@pytest.mark.parametrize("how", ["torn", "zeros", "none"])
@pytest.mark.parametrize("kind", ["arrow", "curves"])
def test_what_is_no_whole_part_is_not_read(logged, how, kind):
    """A part that a crash or a copy damaged costs time, never a number."""
    run, (table, epochs) = logged
    for path in (run / ".index").glob(f"*.{kind}"):
        content = path.read_bytes()
        path.write_bytes({"torn": content[: len(content) // 2], "zeros": bytes(len(content)), "none": b""}[how])
    same(load(run), table)
    same(load_epochs(run), epochs)


@pytest.mark.parametrize("calm", [False, True])
def test_the_lines_overrule_the_columns(logged, monkeypatch, calm):
    """Whoever corrects a line by hand, even to one as long, reads what he wrote, also if it was read a moment ago."""
    run, (table, _) = logged
    if calm:
        monkeypatch.setattr(index, "_CALM_NS", 0)
        same(load(run), table)
    assert (run / ".index" / "trials.jsonl.seen").exists() == calm
    log = run / "trials.jsonl"
    times, text = log.stat(), log.read_text()
    assert text.count('"wall_s":3.0') == 10
    log.write_text(text.replace('"wall_s":3.0', '"wall_s":4.0', 1))
    os.utime(log, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert sorted(load(run)["wall_s"].dropna()) == [3.0] * 9 + [4.0]
    log.write_text("".join(text.splitlines(keepends=True)[:5]))
    same(load(run), table.head(5))
    log.unlink()
    log.write_text(text)
    same(load(run), table)


@pytest.mark.parametrize("kind", ["arrow", "seen"])
def test_what_was_seen_to_fit_is_looked_at_again_once_it_changed(logged, monkeypatch, kind):
    """A part that was damaged after it had been read, or a note that was, costs time, never a number."""
    run, (table, _) = logged
    monkeypatch.setattr(index, "_CALM_NS", 0)
    same(load(run), table)
    for path in (run / ".index").glob(f"*.{kind}"):
        times, content = path.stat(), path.read_bytes()
        path.write_bytes(content[:40] + bytes(len(content) - 40))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    same(load(run), table)


def test_a_log_that_was_not_touched_is_not_read_again(logged, monkeypatch):
    """A log of gigabytes is not digested each time that somebody asks how far the search is."""
    run, (table, _) = logged
    monkeypatch.setattr(index, "_CALM_NS", 0)
    same(load(run), table)

    def digested(*arguments):
        raise AssertionError("the log was read")

    monkeypatch.setattr(index, "_digest", digested)
    same(load(run), table)


def test_a_part_of_another_version_is_made_anew(logged, monkeypatch):
    """What an earlier toolkit understood of the lines is not what this one does."""
    run, (table, _) = logged
    before = parts_on_disk(run)
    monkeypatch.setattr(index, "_VERSION", 0)
    same(load(run), table)
    assert parts_on_disk(run)
    assert not set(parts_on_disk(run)) & set(before)


def test_where_nothing_can_be_written_there_is_no_index(run, large):
    """A run that may only be read is read all the same."""
    (run / ".index").write_text("in the way")
    found = load(run), read_trials(run), summary(run / "trials.jsonl")
    large(1 << 30)
    same(found[0], load(run))
    assert found[1:] == (read_trials(run), summary(run / "trials.jsonl"))


def test_a_small_log_has_no_index(run):
    """Who lists the folder of a usual run finds what was there before."""
    load(run)
    assert not (run / ".index").exists()


def test_parts_stay_few(logged):
    """A log that is read after each line does not leave a part a line."""
    run, (table, _) = logged
    log = run / "trials.jsonl"
    texts = log.read_bytes().splitlines(keepends=True)
    for count in range(1, len(texts) + 1):
        log.write_bytes(b"".join(texts[:count]))
        assert len(read_trials(run)) == count
    assert len(parts_on_disk(run)) <= 1 + 2 * log.stat().st_size // index._BLOCK
    same(load(run), table)


READER = """
import sys
from pathlib import Path
from nas.runs import folder, index
folder.LARGE = index.LARGE = 0
index._BLOCK = 3000
while True:
    trials = folder.read_trials(Path(sys.argv[1]))
    assert [trial.trial_id for trial in trials] == list(range(len(trials)))
    print(len(trials), flush=True)
"""


def test_readers_at_once_and_readers_killed_leave_whole_parts(run, large, tmp_path):
    """However many read a growing log, and whenever one is killed, each reads what the lines say."""
    log = tmp_path / "trials.jsonl"
    first = json.loads((run / "trials.jsonl").read_text().splitlines()[0])
    log.touch()
    readers = [
        subprocess.Popen([sys.executable, "-c", READER, str(log)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert all(reader.stdout.readline() == "0\n" for reader in readers)  # each has begun
    with log.open("ab") as file:
        for number in range(300):
            file.write(line_of(first | {"trial_id": number}))
            file.flush()
            time.sleep(0.005)
            if number in (100, 200):
                readers[number // 200].kill()
    assert any(line == "300\n" for line in readers[2].stdout)
    readers[2].kill()
    for reader in readers:
        reader.stdout.close()
        assert reader.wait() == -9
    assert [trial.trial_id for trial in read_trials(log)] == list(range(300))
    assert parts_on_disk(tmp_path)


def test_what_one_part_calls_none_and_another_does_not_name(tmp_path, large):
    """None of a column that other lines lack is not known, as it is in a table of the lines."""
    log, made = tmp_path / "trials.jsonl", Trial(DRAWN[0], "ok", trial_id=0, run_id="r1").to_dict()
    lines = [line_of(made | {"curve": [epoch]}) for epoch in ({"epoch": 0, "loss": None}, {"epoch": 0})]
    large(0, block=1)
    for count in (1, 2):
        written(log, lines[:count])
        found = load_epochs(log)
    large(1 << 30)
    same(found, load_epochs(log))


SUMMED = """
import sys
from pathlib import Path
from nas.runs import folder, index
folder.LARGE, index.LARGE = 0, 1 << 30  # a large log, whose last lines stand in no part yet
from nas.runs.status import status
print(status(Path(sys.argv[1])).trials, "pandas" in sys.modules)
"""


def test_status_of_a_large_log_does_without_pandas(run, large):
    """To import it takes as long as all that is read; pyarrow would, for some of what it is asked."""
    large(0)
    read_trials(run)
    lines = (run / "trials.jsonl").read_bytes().splitlines(keepends=True)
    written(run / "trials.jsonl", [*lines, line_of(json.loads(lines[0]) | {"trial_id": 12})])
    done = subprocess.run([sys.executable, "-c", SUMMED, str(run)], capture_output=True, text=True, check=True)
    assert done.stdout == "13 False\n"


def test_best_shows_the_same_of_a_large_log(run, large, capsys, monkeypatch):
    """The table of the best has every column that it has of a small log, though few are read."""
    monkeypatch.setenv("COLUMNS", "300")
    shown = []
    for size in (1 << 30, 0):
        large(size)
        assert main(["best", str(run)]) == 0
        shown.append(capsys.readouterr().out)
    assert "proposed by" in shown[0]
    assert shown[0] == shown[1]
