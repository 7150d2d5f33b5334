"""The report: one HTML file that shows a run to somebody who has only that file."""

import json
import re
from html.parser import HTMLParser

import pytest

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
