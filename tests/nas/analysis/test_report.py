"""The report: one HTML file that shows a run to somebody who has only that file."""

import json
import re
from html.parser import HTMLParser

import pytest

import nas
from nas.analysis import best, load
from nas.analysis.report import report


class Page(HTMLParser):
    """Collects what a page shows and what it would fetch."""

    def __init__(self):
        super().__init__()
        self.text, self.sources, self.open = "", [], []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_report_shows_the_run_and_fetches_nothing(run):
    """Best trials, winner, failures and five pictures are in the file itself; its tags are balanced."""
    page = Page()
    page.feed(report(run))
    assert not page.open
    assert len(page.sources) == 5
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    top = best(load(run), 1).iloc[0]
    assert top["arch_id"] in page.text
    assert "12 trials (10 ok, 1 failed, 1 oom)" in page.text
    assert "ValueError: x" in page.text
    assert re.search(r"r\d_k\d_s\d_e\d_i16_o16", page.text)


def test_a_run_without_trials_is_said_to_have_none(tmp_path, run):
    """A report on nothing is an error of one line."""
    (run / "trials.jsonl").write_text("")
    with pytest.raises(ValueError, match="has no finished trial yet"):
        report(run)


def test_a_run_without_step_times_has_a_report(run):
    """Whose own evaluator times nothing still gets the ranking and every picture that can be drawn."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        record |= {"s_normalised": None, "step_time_ms": None, "params": None, "curve": []}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    page = Page()
    page.feed(report(run))
    assert not page.open
    assert best(load(run), 1).iloc[0]["arch_id"] in page.text


def test_the_report_says_how_sure_it_is(run):
    """Errors stand behind accuracy and reward, what is not told apart from the winner is marked, and a line sums up."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for record in lines:
        if record["status"] == "ok":
            record |= {"accuracy_se": 0.0123, "reward_se": 0.02, "minival_images": 500}
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    page = Page()
    page.feed(report(run))
    assert not page.open
    best = nas.open_run(run).best()
    assert f"{best.iloc[0]['accuracy']:.4f} ± 0.0123" in page.text
    assert f"{best.iloc[0]['reward']:.4f} ± 0.0200 *" in page.text
    marked = best["told_apart"].tolist().count(False) - 1
    assert 0 < marked < 9
    assert page.text.split("Pareto front of")[0].count(" ≈") == marked + 1, "the rest is the legend's"
    assert f"minival of 500 images: accuracy is known to ±0.0123; {marked} of 9 others" in page.text
