"""The report: one HTML file that shows a run to somebody who has only that file."""

import json
import re
import time
from html.parser import HTMLParser

import numpy as np
import pytest

import nas
from nas.analysis import best, load
from nas.claims import explain as explain_module
from nas.cli import main
from nas.report import report
from nas.report.trial_table import MOST_ROWS
from nas.runs.folder import locked, read_config
from search_space.space import SearchSpace
from tests.nas.report.conftest import change, several_objectives, shorten, write


class Page(HTMLParser):
    """Collects what a page shows and what it would fetch."""

    def __init__(self, text):
        super().__init__()
        self.text, self.sources, self.open, self.images, self.ids, self.sections = "", [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open, "tags are balanced"
        assert len(self.ids) == len(set(self.ids)), "an id is that of one element"
        self.data = json.loads(re.search(r'id="data">(.*?)</script>', text, flags=re.S)[1])

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.sources += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        self.ids += [value for name, value in attrs if name == "id"]
        self.images += [attributes] if tag in ("svg", "img") else []
        self.sections += [attributes["id"]] if tag == "section" else []
        if tag not in ("img", "meta", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data if not self.open or self.open[-1] not in ("script", "style") else ""

    def column(self, name):
        """The values of a column of the table of all trials."""
        [found] = [each for each in self.data["columns"] if each["name"] == name]
        return found["numbers"] if "numbers" in found else [found["words"][place] for place in found["places"]]


def test_the_report_shows_the_run_and_fetches_nothing(run):
    """Space, winner beside reference, failures, every trial, figures with words for who cannot see them."""
    text = report(run)
    page = Page(text)
    assert all(source.startswith("#") for source in page.sources), "what it refers to is its own"
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", text)
    assert page.sections == ["space", "result", "certainty", "why", "front", "trials", "failures", "settings"]
    assert all(len(image["aria-label"]) > 30 for image in page.images)
    assert len(page.images) >= 5
    top = best(load(run), 1).iloc[0]
    assert top["arch_id"] in page.text
    assert "12 trials (10 ok, 1 failed, 1 oom)" in page.text
    assert "17,915,904 architectures" in page.text
    assert "ValueError: x" in page.text
    assert re.search(r"r\d_k\d_s\d_e\d_i16_o16", page.text)
    assert page.column("trial_id") == [*range(12)]
    assert page.column("status").count("ok") == 10
    assert page.data["marks"]["winner"] == [top["trial_id"]]


def test_a_run_without_trials_is_said_to_have_none(run):
    """A report on nothing is an error of one line; while the search runs it is a page that says so."""
    (run / "trials.jsonl").write_text("")
    with pytest.raises(ValueError, match="has no finished trial yet"):
        report(run)
    with locked(run):
        text = report(run, refresh=True)
    assert "No trial has finished yet." in text
    assert "location.reload()" in text


def test_a_run_without_step_times_has_a_report(run):
    """Whose own evaluator times nothing still gets the ranking and every picture that can be drawn."""
    change(run, s_normalised=None, step_time_ms=None, params=None, curve=[])
    page = Page(report(run))
    assert best(load(run), 1).iloc[0]["arch_id"] in page.text
    assert "front" not in page.sections


def test_the_report_says_how_sure_it_is(run):
    """Errors stand behind accuracy and reward, what is not told apart from the winner is marked, and a line sums up."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        if record["status"] == "ok":
            record |= {"accuracy_se": 0.0123, "reward_se": 0.02, "minival_images": 500}
    write(run, lines)
    page = Page(report(run))
    best = nas.open_run(run).best()
    text = page.text.replace("\xa0", " ")
    assert f"{best.iloc[0]['accuracy']:.4f} ± 0.0123" in text
    assert f"{best.iloc[0]['reward']:.4f} ± 0.0200 *" in text
    marked = best["told_apart"].tolist().count(False) - 1
    assert 0 < marked < 9
    assert text.split("The best trials")[1].split("How sure")[0].count(" ≈") == marked + 1, "the rest is the legend's"
    assert f"inival of 500 images: accuracy is known to ±0.0123; {marked} of 9 others" in text


def test_a_run_of_which_nothing_was_scored_says_why(run):
    """Every candidate failed: there is no winner, and the errors are told with how often they came."""
    change(run, status="failed", error="ValueError: no such op", reward=None, accuracy=None)
    page = Page(report(run))
    assert "No winner: none of 12 trials was scored" in page.text
    assert page.sections == ["space", "result", "why", "trials", "failures", "settings"]
    assert re.search(r"failed\s*12\s*0\s*ValueError: no such op", page.text)


def test_a_run_of_one_trial_has_a_report(run):
    """One scored trial is the winner, and on the front; nothing is said of importance. The search was interrupted."""
    shorten(run)
    page = Page(report(run))
    assert "The search was interrupted after 1 of 12 trials" in page.text
    assert "too few to say which decisions mattered" in page.text
    assert page.data["marks"] == {"winner": [0], "front": [0]}


def test_of_several_objectives_the_front_is_reported(run):
    """No trial is called the winner; the front of the search's own objectives is."""
    several_objectives(run)
    page = Page(report(run))
    assert "The search was after a front, not one winner." in page.text
    assert "winner" not in page.text.split("All trials")[0].replace("not one winner", "")
    front = nas.open_run(run).pareto()
    assert nas.open_run(run).objectives() == ("+accuracy", "-s_normalised")
    assert sorted(page.data["marks"]["front"]) == sorted(front.index)
    assert page.data["marks"]["winner"] == []


def test_whether_the_search_may_stop_is_said(long_run):
    """From twenty scored architectures on: in words, and as a figure of the gain after each trial."""
    space = SearchSpace.from_dict(read_config(long_run)["space"])
    architectures = [space.decode(code) for code in space.sample_encodings(60, np.random.default_rng(0))]
    shorten(long_run, 60)
    change(
        long_run,
        architecture=lambda trial: architectures[trial["trial_id"]].to_dict(),
        arch_id=lambda trial: architectures[trial["trial_id"]].arch_id,
    )
    page = Page(report(long_run))
    assert page.sections[3] == "outlook"
    assert "10 more trials are expected to raise the true reward of the best by " in page.text
    assert any("what 10 more trials were expected to gain" in image["aria-label"] for image in page.images)
    several_objectives(long_run)
    assert "What more trials would gain is not said of several objectives." in Page(report(long_run)).text


def test_of_more_trials_than_a_page_takes_the_best_and_the_front_stay(run, monkeypatch):
    """It says how many it shows."""
    monkeypatch.setattr("nas.report.trial_table.MOST_ROWS", 8)
    page = Page(report(run))
    assert 7 <= len(page.column("reward")) <= 8 < MOST_ROWS
    assert f"{len(page.column('reward'))} of 12 trials: those of the front, the best 4, others" in page.text
    best_ids = best(load(run), 4)["trial_id"]
    assert set(best_ids) <= set(page.column("trial_id"))
    [winner] = page.data["marks"]["winner"]
    assert page.column("trial_id")[winner] == nas.open_run(run).best_trial.trial_id, "not the luckiest of many"


def test_what_a_trial_says_is_text(run):
    """An error or a metric's name that looks like HTML is shown as it is, in the table of all trials, too."""
    shorten(run, 4)  # of which the last failed
    change(run, error="</script><script>alert(1)</script><b>", metrics={"<i>m": 1.0})
    page = Page(report(run))
    assert "</script><script>alert(1)</script><b>" in page.text
    assert page.column("error")[0] == "</script><script>alert(1)</script><b>"


def test_importances_are_those_of_the_command(run, monkeypatch):
    """What the page says of a decision is what `nas explain` says."""
    assert explain_module.LEAST_TRIALS == 10
    found = nas.explain(run)
    page = Page(report(run))
    first = found.decisions[0]
    said = f"{first.importance:.0%} ({first.low:.0%} to {first.high:.0%})"
    assert said in page.text.split("Best choices")[1]


def test_figures_are_written_as_vectors(run, tmp_path, capsys):
    """Each figure of the page as SVG and PDF; the page itself stays where it is."""
    shorten(run)
    assert main(["report", str(run), "--figures", str(tmp_path / "figures")]) == 0
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"progress.svg", "progress.pdf", "trade_off.svg", "trade_off.pdf"} <= names
    assert (tmp_path / "figures" / "progress.pdf").read_bytes().startswith(b"%PDF")
    assert (run / "report.html").exists()
    assert "figures" in capsys.readouterr().out


def test_a_watched_report_follows_the_search(run, monkeypatch):
    """It is written at once, again when a trial has finished, and a last time, without refreshing, when it is over."""
    whole = (run / "trials.jsonl").read_text().splitlines(keepends=True)
    shorten(run, 1)
    written = []

    def told(path, state):
        text = path.read_text()
        written.append((state, len(Page(text).column("trial_id")), "location.reload()" in text))

    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 2:
            (run / "trials.jsonl").write_text("".join(whole[:5]))
        if len(waits) == 3:
            search.__exit__(None, None, None)

    search = locked(run)
    search.__enter__()
    monkeypatch.setattr(time, "sleep", sleep)
    nas.watch_report(run, every_s=7, told=told)
    assert written == [("running", 1, True), ("running", 5, True), ("stopped", 5, False)]
    assert waits[1] >= 7


def test_a_watched_search_that_ends_before_its_first_trial_gets_a_last_page(run, monkeypatch):
    """It says that no trial finished, and no longer refreshes; at a first look, that is refused."""
    (run / "trials.jsonl").write_text("")
    written = []

    def told(path, state):
        text = path.read_text()
        written.append((state, "location.reload()" in text, "interrupted after 0 of" in text))

    search = locked(run)
    search.__enter__()
    monkeypatch.setattr(time, "sleep", lambda _: search.__exit__(None, None, None))
    nas.watch_report(run, told=told)
    assert [state for state, *_ in written] == ["running", "stopped"]
    assert [refreshed for _, refreshed, _ in written] == [True, False]
    assert written[-1][2]
    with pytest.raises(ValueError, match="it has no finished trial yet"):
        nas.watch_report(run)


def test_the_command_refuses_what_it_cannot_do(run, tmp_path, capsys):
    """One line, status 2, nothing written."""
    assert main(["report", str(run), "--watch", "--figures", str(tmp_path / "f")]) == 2
    assert "--figures and --watch exclude each other" in capsys.readouterr().err
    assert main(["report", str(run), "--against", str(tmp_path / "none")]) == 2
    assert not (run / "report.html").exists()
