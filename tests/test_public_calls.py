"""What `import nas` gives: every command as a call, imported when it is used."""

import doctest
import importlib
import subprocess
import sys
import textwrap

import pytest

import nas

DOCUMENTED = [
    "nas.comparable",
    "nas.config.search",
    "nas.trackers",
    "search_space.description",
]


@pytest.mark.parametrize("name", nas.__all__)
def test_every_public_name_is_there_and_documented(name):
    """What is listed can be had, and says what it is."""
    thing = getattr(nas, name)
    assert name in dir(nas)
    assert isinstance(thing, dict) or thing.__doc__


def test_an_unknown_name_says_what_there_is():
    """A typing error is answered with the names."""
    with pytest.raises(AttributeError, match=r"no attribute 'run_serach'; it has: .*run_search"):
        nas.run_serach  # noqa: B018


def test_importing_it_waits_for_nothing_heavy():
    """A script that reads a log starts at once; a search waits for Ray alone, which is in a process of its own."""
    script = "import sys, nas; nas.open_run, nas.run_search; print({'torch', 'ray', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("module", DOCUMENTED)
def test_examples_in_docstrings_hold(module):
    """Doctests of the public modules that have them."""
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted
    assert not result.failed


def test_a_configuration_is_made_of_yaml_or_of_objects():
    """Both ways give equal configurations; an object of the wrong kind is named."""
    from nas.training.settings import TrainSettings
    from search_space.spaces import small

    data = {"source": "digits", "minival": 0.2}
    typed = nas.search_config(space=small(), image_size=32, data=data, training=TrainSettings(epochs=2))
    plain = nas.search_config(space={"name": "small"}, image_size=32, data=data, training={"epochs": 2})
    assert typed == plain
    with pytest.raises(ValueError, match="training must be a mapping, got 3"):
        nas.search_config(space=small(), image_size=32, training=3)


SCRIPT = """
import nas

class Loud(nas.Callback):
    def on_search_begin(self, search): print("begins with", len(search.trials))
    def on_epoch(self, epoch, trial_id=None): print("epoch", trial_id, epoch["epoch"])
    def on_trial_end(self, trial): print("trial", trial.trial_id, trial.status)
    def on_search_end(self, search): raise RuntimeError("a bug of the callback's")

config = nas.search_config(
    space={"name": "small", "image_size": 8}, image_size=8, device="cpu",
    data={"minival": 0.2, "subset": 128, "cache_dir": "cache"}, training={"epochs": 2, "batch_size": 64},
    step_time={"min_pairs": 2, "max_pairs": 2}, algorithm="random", search={"trials": 2, "workers": 2})
run = nas.run_search(config, folder="run", callbacks=[Loud()])
assert run.ended.state == "finished"
run = nas.run_search(run, trials=3, callbacks=[Loud()], progress=False)
assert [trial.trial_id for trial in nas.open_run("run").trials] == [0, 1, 2] or len(run.trials) == 3
print("best", run.best_trial.arch_id == run.winner.arch_id == run.best(1).iloc[0]["arch_id"])
"""


@pytest.mark.timeout(300)
def test_a_script_searches_extends_and_reads(tmp_path):
    """No `if __name__ == "__main__"` is needed; callbacks hear of everything, print, and may fail without harm."""
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    environment = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=__import__("os").environ | environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("begins with 0", "best True")
    assert lines.count("begins with 2") == 1
    assert {line for line in lines if line.startswith("epoch")} == {
        f"epoch {t} {e}" for t in range(3) for e in range(2)
    }
    assert {f"trial {t} ok" for t in range(3)} <= set(lines)
    assert "callback Loud.on_search_end: RuntimeError: a bug of the callback's" in done.stderr
    assert "2/2 ok 2" in done.stderr
