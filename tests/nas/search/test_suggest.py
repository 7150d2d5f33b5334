"""A first configuration for a data set and this machine."""

import numpy as np
import pytest
from PIL import Image

import nas
from nas.cli import main
from nas.config.search import load_config, parse
from nas.data.description import DataDescription
from nas.data.settings import DataSettings
from nas.search.choices import FEWEST_TRIALS, HOURS, TRIALS, Machine, choose, fit_time
from nas.search.findings import GAP, gap_told_apart
from nas.search.suggest import _expected, _limit, _lines, hours_text, name_of
from nas.search.timing import SearchTime, TimedCandidate
from search_space import yaml_text
from search_space.cost import count_batch

CPUS, GPUS = Machine(8, 0), Machine(32, 4)


def described(counts, side, channels=3):
    return DataDescription(DataSettings(), None, tuple(counts), 0, channels, (side, side, side), (), ())


@pytest.fixture
def photographs(tmp_path):
    """Two classes of pictures, larger than a CPU can search at; a space in the path."""
    folder, rng = tmp_path / "my photos" / "train", np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(24):
            Image.fromarray(rng.integers(0, 255, (100, 120, 3), np.uint8)).save(folder / name / f"{i}.png")
    return folder.parent


def test_what_is_suggested_can_be_searched(photographs, tmp_path, monkeypatch, capsys):
    """The file loads, a dry run and a check find nothing that would fail, and every line fits 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    assert main(["init", str(photographs), "--no-timing"]) == 0
    file = tmp_path / "my photos.yaml"
    text = file.read_text()
    config = load_config(file)
    assert (config.data.source, config.data.path) == ("folder", str(photographs / "train"))
    assert (config.data.minival, config.training.batch_size, config.augment.crop) == (12, 8, "resized")
    assert all(len(line) <= 80 or "/my" in line for line in text.splitlines()), "but for a path"
    assert text.count("#") > 15
    assert main(["search", str(file), "--dry-run"]) == 0
    assert main(["check", str(file), "--no-timing"]) == 0
    assert "nothing was found that would fail" in capsys.readouterr().out


def test_nothing_is_overwritten(tmp_path, monkeypatch, capsys):
    """A file that is there stays as it is: one line, status 2. Without data it is the digits' that is written."""
    monkeypatch.chdir(tmp_path)
    assert main(["init", "--no-timing"]) == 0
    before = (tmp_path / "digits.yaml").read_text()
    capsys.readouterr()
    for arguments in ([], ["--out", "digits.yaml"], ["--out", "."], ["--out", "x.txt"]):
        assert main(["init", *arguments]) == 2, "before anything is measured, which says more lines"
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
    assert (tmp_path / "digits.yaml").read_text() == before
    assert [path.name for path in tmp_path.iterdir()] == ["digits.yaml"]


def test_hours_are_measured(tmp_path):
    """With a time limit a trial, five times what the slowest takes."""
    found = nas.suggest(seconds=1)
    assert found.how.startswith("measured")
    assert found.config.search.time_limit_s >= 120
    assert "about" in found.text
    assert found.write(tmp_path / "deep" / "c.yaml").read_text() == found.text


@pytest.mark.parametrize(
    ("counts", "side", "machine", "size", "batch", "crop"),
    [
        ([140] * 10, 8, CPUS, 16, 64, "pad"),
        ([5000] * 10, 32, CPUS, 32, 64, "pad"),
        ([6000] * 10, 28, CPUS, 32, 64, "pad"),
        ([300] * 14, 144, CPUS, 64, 64, "resized"),
        ([5000] * 10, 32, GPUS, 32, 256, "pad"),
        ([1300] * 1000, 400, GPUS, 192, 128, "resized"),
        ([20, 30], 400, CPUS, 64, 8, "resized"),
    ],
)
def test_what_is_chosen_follows_from_data_and_machine(counts, side, machine, size, batch, crop):
    """Image size, batch and crops; as many workers as there are GPUs, or else CPUs."""
    chosen = choose(described(counts, side), machine)
    assert (chosen.image_size, chosen.batch_size, chosen.crop) == (size, batch, crop)
    assert chosen.workers == (machine.gpus or machine.cpus)
    assert chosen.epochs == 10 or chosen.epochs * ((sum(counts) - chosen.minival) // batch) >= 100


def test_minival_tells_the_top_apart_where_there_are_images():
    """Large enough for a gap of two points, with two images a class; of few images at most a quarter is held out."""
    assert gap_told_apart(choose(described([5000] * 10, 32), CPUS).minival, TRIALS) <= GAP * 1.01
    assert choose(described([100] * 10, 32), CPUS).minival == 250
    assert choose(described([50] * 4000, 32), CPUS).minival == 8000


def test_a_search_ends_within_a_night():
    """First with fewer trials, then with fewer images."""
    chosen = choose(described([5000] * 10, 32), CPUS)
    assert fit_time(chosen, 45_000, 10, 2.0) == (chosen, 2.0)
    fewer, hours = fit_time(chosen, 45_000, 10, 24.0)
    assert (fewer.trials, fewer.subset, hours) == (50, None, 12.0)
    few, hours = fit_time(chosen, 45_000, 10, 1000.0)
    assert few.trials == FEWEST_TRIALS
    assert few.subset < 45_000 * HOURS / 300
    assert hours == pytest.approx(HOURS, rel=0.01)


def read(data, machine, chosen, limit=None):
    """The configuration that is written for these choices."""
    return parse(yaml_text.load("\n".join(_lines(data, machine, chosen, limit))))


@pytest.mark.parametrize(
    ("counts", "side", "channels", "machine"), [([140] * 10, 8, 1, CPUS), ([1300] * 1000, 400, 3, GPUS)]
)
def test_the_file_says_what_was_chosen(counts, side, channels, machine):
    """Each choice under its own key; a GPU is asked for, and a mirrored digit is another."""
    data = described(counts, side, channels)
    chosen = fit_time(choose(data, machine), data.images, len(counts), 100.0)[0]
    config = read(data, machine, chosen, limit=300)
    assert (config.image_size, config.space.constraints.image_size) == (chosen.image_size, chosen.image_size)
    assert (len(config.space.stages) < 6) == chosen.is_small == (machine is CPUS)
    assert (config.data.source, config.data.minival, config.data.subset) == ("digits", chosen.minival, chosen.subset)
    assert (config.augment.crop, config.augment.flip) == (chosen.crop, channels == 3)
    assert (config.training.epochs, config.training.batch_size) == (chosen.epochs, chosen.batch_size)
    assert (config.search.trials, config.search.workers) == (FEWEST_TRIALS, chosen.workers)
    assert (config.search.cpus_per_trial, config.search.gpus_per_trial) == (chosen.cpus_per_trial, machine is GPUS)
    assert (config.search.time_limit_s, config.device) == (300, "cuda" if machine is GPUS else "cpu")
    assert read(data, machine, chosen).search.time_limit_s is None


def test_hours_that_nobody_measured_follow_from_the_arithmetic(monkeypatch):
    """Six FLOPs a MAC, image and epoch, a fifth more to time the step, by what a core or a GPU sustains."""
    data = described([500] * 10, 32)
    for machine, rate, unit in ((Machine(1, 0), 2e10, "a CPU core"), (Machine(8, 1), 1e13, "a GPU")):
        monkeypatch.setattr("nas.search.machine.available_cpus", lambda cpus=machine.cpus: cpus)
        chosen = choose(data, machine)
        draft = read(data, machine, chosen)
        codes = draft.space.sample_encodings(512, np.random.default_rng(1))
        macs = count_batch(draft.space, codes, chosen.image_size, 10, 3).macs.mean()
        seconds = 1.2 * 6 * macs * (5000 - chosen.minival) * chosen.epochs / rate
        hours, how = _expected(draft, data, machine, None)
        assert hours == pytest.approx(100 * seconds / 3600, rel=0.1)
        assert how.endswith(unit)


def test_a_time_limit_is_five_times_the_slowest_trial():
    """In whole minutes, two at least."""

    def limit(*seconds):
        timed = [TimedCandidate("c", None, 0.1, 9, 5.0, each - 5.0) for each in seconds]
        return _limit(SearchTime(tuple(timed), 1, 1, 1, "cpu"))

    assert (limit(30, 61, 50), limit(7), _limit(None)) == (360, 120, None)


def test_hours_and_names_are_said_as_people_do():
    """Minutes below an hour and a half; a data set by its own name, not by that of its split."""
    assert [hours_text(hours) for hours in (0.001, 1.4, 1.5, 12.34)] == [
        "1 minutes",
        "84 minutes",
        "1.5 hours",
        "12 hours",
    ]
    for source, path, name in [
        ("digits", "", "digits"),
        ("mine.lab:Birds", "", "birds"),
        ("folder", "/d/birds/train", "birds"),
        ("parquet", "/d/birds/data/train-*.parquet", "birds"),
        ("folder", "/d/birds.v2/Images", "birds"),
        ("folder", "/", "search"),
    ]:
        settings = DataSettings(source, path=path)
        assert name_of(DataDescription(settings, None, (1,), 0, 3, (8, 8, 8), (), ())) == name
