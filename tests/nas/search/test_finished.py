"""A search that has all its trials, and how long one that has not will take."""

import pytest

import nas
from nas.cli import main
from nas.runs.folder import locked
from nas.runs.status import status


@pytest.fixture
def without_start(monkeypatch, tmp_path):
    """Whatever starts Ray fails."""
    monkeypatch.setattr("nas.search.run.RayProcess", None)
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))


def test_a_finished_search_says_so_and_starts_nothing(run, without_start, capsys):
    """Its table is shown at once; one that is to be extended starts as ever."""
    arguments = ["search", str(run / "config.yaml"), "--out", str(run)]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert "finished, all 12 trials are done; --trials extends it" in " ".join(shown.err.split())
    assert "starting Ray" not in shown.err
    assert "winner: trial" in shown.out
    with pytest.raises(TypeError):
        main([*arguments, "--trials", "13"])
    assert "starting Ray" in capsys.readouterr().err


def test_callbacks_hear_of_a_finished_search(run, without_start):
    """One that is added afterwards is given what there is."""
    heard = []

    class Told(nas.Callback):
        def on_search_begin(self, search):
            heard.append((search.state, len(search.trials)))

        def on_search_end(self, search):
            heard.append((search.state, len(search.trials)))

    assert nas.run_search(run, callbacks=[Told()], progress=False).ended.state == "finished"
    assert heard == [("running", 12), ("finished", 12)]


def test_status_says_when_a_search_will_end(run, capsys):
    """Ten trials of 3 s and two of none, eight to come, two at once and half done: 2.5 s times 7 over 2."""
    assert status(run).eta_s is None
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("trials: 12", "trials: 20"))
    with (run / "proposals.jsonl").open("a") as log:
        for number in (12, 13):
            log.write(f'{{"event":"proposed","trial_id":{number}}}\n')
    assert status(run).eta_s is None, "it does not run"
    with locked(run):
        assert status(run).eta_s == pytest.approx(2.5 * 7 / 2)
        assert main(["status", str(run)]) == 0
    assert "ETA               0:09\n" in capsys.readouterr().out
