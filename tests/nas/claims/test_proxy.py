"""A study of proxies from configuration to numbers: real trainings on digits, on Ray, by the command."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import nas
from nas.claims.proxy import begun, plan_proxies
from nas.cli import main
from nas.report.reading import read
from nas.report.studies import studies
from search_space import yaml_text

STAGE = {"op": ["mbconv", "fused_mbconv"], "layers": [1, 2], "kernel_size": [3, 5], "expansion": 1, "stride": 2}
SEARCH = {
    "space": {"stem_channels": 4, "stem_stride": 1, "head_channels": 16, "stages": [STAGE | {"channels": [4, 8, 16]}]},
    "image_size": 8,
    "data": {"source": "digits", "minival": 300, "subset": 256},
    "training": {"epochs": 2, "batch_size": 32, "schedule": "constant", "warmup_epochs": 0.5, "drop_path": 0},
    "device": "cpu",
}
LONG = {"image_size": 8, "device": "cpu"} | {
    "data": SEARCH["data"] | {"subset": 512},
    "training": SEARCH["training"] | {"epochs": 3, "schedule": "cosine"},
}
OPTIONS = ["--architectures", "5", "--epochs", "1,2", "--subset", "128,256", "--top", "1,2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A configuration and a long recipe; one training is there already, as a call that was killed leaves it."""
    place = tmp_path_factory.mktemp("study")
    (place / "search.yaml").write_text(yaml_text.dump(SEARCH))
    (place / "long.yaml").write_text(yaml_text.dump(LONG))
    return place


def command(place, *more):
    files = [str(place / "search.yaml"), "--long", str(place / "long.yaml"), "--out", str(place / "out")]
    return main(["proxy", *files, *OPTIONS, *more])


@pytest.fixture(scope="module")
def study(place):
    """What `proxy.json` says after the command; one training was finished by a call that was killed after it."""
    assert command(place, "--dry-run") == 0
    assert not (place / "out").exists()
    plan = plan_proxies(place / "search.yaml", long=place / "long.yaml", architectures=5, folder=place / "out")
    with begun(plan):
        first = plan.trainings[0]
        nas.train(first.config.architecture, first.config, folder=place / "out" / first.name, progress=False)
    result = place / "out" / first.name / "result.json"
    before = result.stat().st_mtime_ns
    assert command(place) == 0
    assert result.stat().st_mtime_ns == before, "what was finished is not trained again"
    return json.loads((place / "out" / "proxy.json").read_text())


def test_every_proxy_is_scored_against_long_training(study):
    """Each number is what scipy makes of the accuracies that are in the trainings' folders."""
    asked = {(score["name"], score["epochs"]): score for score in study["scores"] if score["asked"]}
    assert asked.keys() == {(f"e2-px8-n{images}", epochs) for images in (128, 256) for epochs in (1, 2)}
    for (name, epochs), score in asked.items():
        assert score["images"] == int(name.rpartition("n")[2])
        mine = [accuracy_of(study, f"{name}/{each['arch_id']}", epochs) for each in study["contenders"]]
        taus = []
        for seed in (0, 1):
            long = [each["long_accuracy"][seed] for each in study["contenders"]]
            taus.append(stats.kendalltau(mine, long).statistic)
        assert score["accuracy"] == mine
        if np.isfinite(taus).all():
            assert score["tau"]["value"] == pytest.approx(np.mean(taus))
            assert -1 <= score["tau"]["low"] <= score["tau"]["value"] <= score["tau"]["high"] <= 1
        else:
            assert score["tau"] is None, "some accuracies are all alike"
        assert score["device_hours"] > 0
    assert any(score["tau"] for score in asked.values())


def accuracy_of(study, training, epochs):
    """From the metrics of a training."""
    lines = (Path(study["folder"]) / training / "metrics.jsonl").read_text().splitlines()
    return json.loads(lines[epochs - 1])["accuracy"]


def test_the_ceiling_is_long_training_under_another_seed(study):
    """And each of its epochs is judged by the end of the other seed's."""
    seeds = np.array([each["long_accuracy"] for each in study["contenders"]]).T
    assert study["ceiling"]["tau"]["value"] == pytest.approx(stats.kendalltau(*seeds).statistic)
    on_the_way = [score for score in study["scores"] if score["name"] == "long"]
    assert [score["epochs"] for score in on_the_way] == [1, 2, 3]
    assert [score["whole"] for score in on_the_way] == [False, False, True], "its rate follows a cosine"


def test_the_cheapest_as_good_costs_less(study):
    """It is cheaper than the search's own, and its difference reaches 0."""
    assert (study["own"], study["own_epochs"]) == ("e2-px8-n256", 2)
    (own,) = [score for score in study["scores"] if (score["name"], score["epochs"]) == ("e2-px8-n256", 2)]
    assert own["difference"] is None
    found = study["cheapest"]
    fit = [each for each in study["scores"] if each["whole"] and each["as_good"]]
    cheaper = [each for each in fit if each["device_hours"] < own["device_hours"]]
    assert found == min(cheaper, key=lambda each: each["device_hours"], default=None)


def test_again_it_says_the_same_at_once(place, study, capsys):
    """Nothing is trained a second time; every epoch can be had as rows, and the table fits 80 columns."""
    assert command(place, "--per-epoch", "--format", "json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == len(study["scores"])
    assert [row["tau"] for row in rows] == [score["tau"] and score["tau"]["value"] for score in study["scores"]]
    assert command(place) == 0
    out = capsys.readouterr().out
    table = out[: out.index("tau, rho")]
    assert "no room" not in table
    assert max(map(len, table.splitlines())) <= 80
    assert "own" in table
    assert "long" in table
    assert (place / "out" / "proxy.png").stat().st_size > 10_000


def test_the_report_of_a_run_shows_a_study(study, run):
    """What a real `proxy.json` holds is told in words and as a table, the search's own and the ceiling among it."""
    (run / "proxy").mkdir()
    (run / "proxy" / "proxy.json").write_text(json.dumps(study))
    section = studies(read(run))
    assert "5 architectures were trained for 3 epochs, with 2 seeds" in section
    assert "<b>e2-px8-n256</b>" in section
    assert section.count("<tr>") == 1 + 4 + 1, "heads, proxies, the ceiling"
    assert "another version" not in section


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--architectures", "6"], "holds a study of 5 architectures, not 6"),
        (["--top", "5"], "top must be numbers from 1 to 4, got 5"),
        (["--subset", "5000"], "subset 5000 is more than"),
        (["--subset", "8"], "a batch of 32 is more than the 8 training images"),
        (["--channels", "2"], "channels of proxies must be 1 or 3, got 2"),
        (["--epochs", "1,x"], "must be a whole number >= 1"),
    ],
)
def test_a_mistake_is_one_line(place, study, capsys, change, message):
    """With status 2, and what is there stays as it is."""
    before = sorted(each.stat().st_mtime_ns for each in (place / "out").iterdir() if each.name[0] != ".")
    try:
        status = command(place, *change)
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(each.stat().st_mtime_ns for each in (place / "out").iterdir() if each.name[0] != ".") == before


def test_a_run_is_chosen_from_by_its_log(run, capsys):
    """Without a folder the study is in the run's; its architectures are the run's, the winner among them."""
    plan = plan_proxies(run, architectures=6)
    assert plan.folder == run / "proxy"
    assert not plan.folder.exists()
    assert nas.open_run(run).winner in [each.architecture for each in plan.chosen]
    assert all(each.accuracy is not None for each in plan.chosen)
    assert plan.series[0].recipe.training.epochs == 4 * plan.own.epochs
    assert main(["proxy", str(run), "--architectures", "11", "--dry-run"]) == 2
    assert "10 architectures of the run were trained to the end; 11 are asked for" in capsys.readouterr().err


def test_a_folder_with_something_else_is_left_alone(place, tmp_path, capsys):
    """A mistyped --out does not fill another folder."""
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["proxy", str(place / "search.yaml"), "--out", str(tmp_path)]) == 2
    assert "is no study of proxies; choose another with --out" in capsys.readouterr().err
