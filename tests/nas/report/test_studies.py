"""Later studies of a run in its report, read from what they left in the run folder."""

import json
import re

from nas.claims.proxy_scores import Regret
from nas.claims.proxy_study import Contender, ProxyScore, ProxyStudy
from nas.claims.rank_agreement import Interval
from nas.report import report
from nas.report.reading import read
from nas.report.studies import pictures
from tests.nas.report.conftest import shorten


def leave(run, name, record):
    shorten(run)
    (run / name).mkdir()
    (run / name / f"{name}.json").write_text(json.dumps(record))


def words_of(text, key):
    return re.sub(r"<[^>]*>|\s+", " ", re.search(rf'<section id="{key}">.*?</section>', text, flags=re.S)[0])


def score(name, epochs, tau, hours, **more):
    known = {"of_epochs": epochs, "whole": True, "asked": True, "image_size": 16, "images": 500, "channels": 1}
    known |= {"architectures": 8, "accuracy": (0.5,) * 8, "rho": None, "difference": None, "as_good": None} | more
    interval = Interval(tau, tau - 0.2, tau + 0.1)
    regrets = (Regret(0.0123, 0.01, 0.0, 0.03), None)
    return ProxyScore(name=name, epochs=epochs, device_hours=hours, tau=interval, regrets=regrets, **known)


def test_proxies_are_shown_beside_the_searchs_own(run):
    """The cheapest first, the search's own in bold, the ceiling last; and which cheaper one is as good."""
    own, cheap = score("e4-px16-n500", 4, 0.71, 0.25), score("e2-px16-n100", 2, 0.62, 0.05, whole=False, of_epochs=4)
    study = ProxyStudy(
        folder="x",
        confidence=0.95,
        top=(1, 3),
        seeds=2,
        own=own.name,
        own_epochs=4,
        long_epochs=30,
        contenders=(Contender("a", {}, 1, 1, None, None, (0.9, 0.8)),) * 8,
        scores=(own, cheap),
        ceiling=score("long", 30, 0.9, 2.0),
        cheapest=cheap,
        notes=("a note.",),
        failed=(),
    )
    leave(run, "proxy", study.to_dict())
    text = report(run)
    words = words_of(text, "proxy")
    assert "8 architectures were trained for 30 epochs, with 2 seeds" in words
    assert "as good as the search’s own within its interval: e2-px16-n100 after 2 epochs" in words
    assert words.index("0.62 (0.42 to 0.72)") < words.index("0.71 (0.51 to 0.81)") < words.index("0.90 (0.70 to 1.00)")
    assert "<b>e4-px16-n500</b>" in text
    assert "2 of 4" in words
    assert "0.0123" in words


def test_a_confirmation_is_shown_with_its_ties(run):
    """Mean, error, interval and ranks of each; which are not told apart; baselines are named as such."""
    each = {"arch_id": "a", "architecture": {}, "trial_id": 3, "search_accuracy": 0.9, "search_reward": 0.9, "macs": 1}
    each |= {"s_low": None, "s_high": None, "step_time_ms": None, "training_s": None, "seeds": [], "reached": None}
    each |= {"epochs_to_target": None, "seconds_to_target": None, "params": 123_456, "s": 1.25}
    best = {
        "name": "trial 3",
        "role": "found",
        "search_rank": 2,
        "mean": 0.91,
        "se": 0.002,
        "low": 0.905,
        "high": 0.915,
    }
    second = {"name": "reference", "role": "baseline", "search_rank": None, "mean": 0.9, "se": None, "low": None}
    record = {
        "metric": "minival",
        "images": 500,
        "confidence": 0.95,
        "epochs": 30,
        "seeds": [1, 2, 3],
        "target_accuracy": None,
        "sd": 0.0031,
        "ties": [[0, 1]],
        "architectures": [
            each | best | {"rank_low": 1, "rank_high": 2},
            each | second | {"high": None, "rank_low": 1, "rank_high": 2},
        ],
    }
    leave(run, "confirm", record)
    text = report(run)
    words = words_of(text, "confirm")
    assert 'aria-label="Accuracy, trained anew: trial 3, S 1.25: 0.9100; reference, S 1.25: 0.9000"' in text
    assert "confirmed" in [each.name for each in pictures(read(run))], "as a file, too"
    assert "2 architectures, 3 seeds each, 30 epochs; accuracy on 500 images of minival" in words
    assert "scatters by 0.0031 over seeds" in words
    assert "Not told apart: trial 3, reference." in words
    assert "trial 3 0.9100 ± 0.0020 0.9050 to 0.9150 1 to 2 2 1.250 123k" in re.sub(r" +", " ", words)
    assert "reference (baseline) 0.9000 – 1 to 2 – 1.250" in re.sub(r" +", " ", words)


def test_a_record_of_another_version_does_not_keep_the_report_away(run):
    """It is said that it cannot be shown; all else is there."""
    for name in ("proxy", "confirm"):
        leave(run, name, {"something": "else"})
    text = report(run)
    assert "<h2>proxy/proxy.json</h2>" in text
    assert "<h2>confirm/confirm.json</h2>" in text
    assert 'id="trials"' in text
