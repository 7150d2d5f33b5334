"""How sure a run's numbers are: read from its log, and simulated where the truth is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nas
from nas.analysis import best, estimates, load, pareto, rescore
from nas.analysis.certainty import verdict, with_errors
from rewards.uncertainty import accuracy_error

OLD = Path(__file__).parents[2] / "data" / "9b0a34b"


def rewrite(run, change):
    """Write a run's log anew: `change` gives what to put into each record, and may count on its number."""
    lines = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    for number, record in enumerate(lines):
        if record["status"] == "ok":
            record |= change(number, record)
    (run / "trials.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))


def with_images(images):
    """Change records to accuracies on so many images, with the errors that a trial has."""

    def change(number, record):
        accuracy = round(record["accuracy"] * images) / images
        reward = accuracy * record["s_normalised"] ** -0.07 * record["p_normalised"] ** -0.05
        error = accuracy_error(accuracy, images)
        errors = {"minival_images": images, "accuracy_se": error, "reward_se": error * reward / accuracy}
        return {"accuracy": accuracy, "reward": reward, **errors}

    return change


def test_an_earlier_log_s_minival_is_found_in_its_accuracies():
    """61 of 288 is written as 0.2118...: of what all accuracies are shares is how many images there were."""
    frame = load(OLD / "finished")
    assert set(frame["minival_images"]) == {288}
    expected = [accuracy_error(accuracy, 288) for accuracy in frame["accuracy"]]
    assert frame["accuracy_se"].tolist() == pytest.approx(expected)
    assert frame["reward_se"].isna().all(), "four pairs give S no interval, so the reward's error is not known"
    assert "the error of the reward is not known" in nas.open_run(OLD / "finished").verdict()


@pytest.mark.parametrize(
    ("config", "images"),
    [
        ({"data": {"minival": 5000}}, 5000),
        ({"data": {"minival": 0.2}}, 40),
        ({"data": {"minival": 0.2}, "search": {"evaluator": "mylab:evaluate"}}, None),
        ({"data": {"minival": 0.2}, "training": {"objective": "mylab:F1"}}, None),
    ],
)
def test_who_measured_says_what_an_accuracy_is(config, images):
    """As configured, else from the shares; what another's evaluator or objective calls accuracy is not guessed at."""
    frame = pd.DataFrame({"status": "ok", "accuracy": [0.5, 0.625, 0.4], "reward": [1.0, 1.0, 1.0]})
    found = with_errors(frame, config)
    assert found["minival_images"].dropna().tolist() == ([images] * 3 if images else [])
    assert found["accuracy_se"].notna().all() == (images is not None)


def test_accuracies_of_an_evaluator_of_one_s_own_have_no_error_made_up(run):
    """The fixture's accuracies are any numbers: no errors, no marks, nothing said."""
    frame = load(run)
    assert frame[["accuracy_se", "reward_se"]].isna().all(axis=None)
    assert best(frame)["told_apart"].tolist() == [None] * 10
    assert nas.open_run(run).verdict() is None


def test_marks_are_against_the_winner_of_the_whole_run(run):
    """Rows of `best` and of the front say the same of a trial, whoever else is in the table; the front is as it was."""
    before = pareto(load(run))["trial_id"].tolist()
    rewrite(run, with_images(2000))
    frame = load(run)
    known = dict(zip(best(frame)["trial_id"], best(frame)["told_apart"], strict=True))
    assert set(known.values()) == {True, False}
    assert best(frame, 2)["told_apart"].tolist() == best(frame)["told_apart"].tolist()[:2]
    front = pareto(frame)
    assert front["told_apart"].tolist() == [known[trial] for trial in front["trial_id"]]
    assert front["trial_id"].tolist() == before
    assert best(frame).iloc[0]["told_apart"] is False, "the winner is not told apart from itself"


def test_another_reward_has_another_error(run):
    """Scored anew by the accuracy alone, the error is the accuracy's."""
    rewrite(run, with_images(500))
    again = rescore(load(run), "weighted_product", {"w": 0.0, "v": 0.0})
    ok = again["status"] == "ok"
    assert again.loc[ok, "reward_se"].tolist() == pytest.approx(again.loc[ok, "accuracy_se"].tolist())


def table(accuracies, seeds, images=10**6):
    """Trials of a reward that is the accuracy.

    Args:
        accuracies: (architectures, seeds).
    """
    rows = [
        {
            "arch_id": f"a{a}",
            "seed": seed,
            "status": "ok",
            "accuracy": value,
            "accuracy_se": accuracy_error(value, images),
            "reward": value,
            "reward_se": accuracy_error(value, images),
            "minival_images": float(images),
            "s_normalised": 1.0,
            "p_normalised": 1.0,
        }
        for a, row in enumerate(accuracies)
        for seed, value in zip(seeds, row, strict=True)
    ]
    return pd.DataFrame(rows)


def test_what_seeds_do_is_in_the_error_of_the_mean():
    """Deviations of 0.01 from means of two: variance 2e-4 pooled, half of it in each mean; as arithmetic has it."""
    found = estimates(table([[0.91, 0.93], [0.80, 0.82]], seeds=(0, 1)))
    assert found["trials"].tolist() == [2, 2]
    assert found["accuracy"].tolist() == pytest.approx([0.92, 0.81])
    assert found["accuracy_se"].tolist() == pytest.approx([0.01, 0.01], rel=1e-2)
    alone = estimates(table([[0.92], [0.81]], seeds=(0,)))
    assert (alone["accuracy_se"] < 0.001).all()


def test_a_trial_on_its_own_errs_by_seeds_as_repeated_ones_do():
    """What is known of seeds from one architecture counts for all; the same seed twice tells nothing."""
    frame = pd.concat([table([[0.91, 0.93]], seeds=(0, 1)), table([[0.1], [0.5]], seeds=(0,))[1:]])
    frame = pd.concat([frame.assign(arch_id=["x", "x", "y"]), frame[:1].assign(arch_id="x")])
    found = estimates(frame).set_index("arch_id")
    assert found["trials"].to_dict() == {"x": 2, "y": 1}
    assert found.loc["y", "accuracy_se"] == pytest.approx(2**0.5 * 0.01, rel=1e-2)


@pytest.mark.parametrize("repeated", [0, 2, 8], ids=["none", "two", "eight"])
def test_the_truly_best_is_not_told_apart_though_seeds_deviate(repeated):
    """In 95 % of simulated searches: images and seeds err, and seeds are known from a few repetitions at most.

    Of 8 architectures with equal truth the first `repeated` are trained three times; with none seeds do nothing.
    """
    rng, searches = np.random.default_rng(0), 200
    kept = 0
    for _ in range(searches):
        luck = rng.normal(0.8, 0.03 if repeated else 0.0, (8, 3))
        found = table(rng.binomial(1000, luck) / 1000, seeds=(0, 1, 2), images=1000)
        found = found[(found["seed"] == 0) | found["arch_id"].isin([f"a{n}" for n in range(repeated)])]
        known = estimates(found).set_index("arch_id")["told_apart"]
        kept += known["a7"] is False
    assert kept / searches >= 0.95 - 3 * (0.05 * 0.95 / searches) ** 0.5


ACCURACY = ("weighted_product", {"w": 0.0, "v": 0.0}, 0.95)  # a reward that is the accuracy


def test_a_minival_too_small_is_said_with_the_size_that_would_do():
    """0.92 and 0.90 on 500 images, three candidates: the gap must be 1.96 errors of it, which 1,607 images do."""
    said = verdict(table([[0.92], [0.90], [0.5]], seeds=(0,), images=500), *ACCURACY)
    assert said.startswith("minival of 500 images: accuracy is known to ±0.0123; ")
    assert "1 of 2 others is not told apart from the winner (95%, not counting what other seeds would do)" in said
    needed = 500 * (1.96 / 0.02) ** 2 * (accuracy_error(0.92, 500) ** 2 + accuracy_error(0.90, 500) ** 2)
    assert f"about {needed / 1000:.3g}k images, or `nas confirm` with more seeds, would tell the first" in said


def test_what_looks_best_is_not_called_the_winner_where_a_model_chose_another():
    """The sentence is about the highest reward then, and says so."""
    frame = table([[0.92], [0.90], [0.5]], seeds=(0,), images=500)
    first, second, last = frame["arch_id"]
    noted = {"arch_id": second, "mean": 0.9, "std": 0.01, "noise": 0.01, "chance": 0.6, "after": last}
    notes = {"predicted_reward": 0.5, "predicted_std": 0.01, "winner_by_model": noted}
    chosen = verdict(frame.assign(proposal=["{}", "{}", json.dumps(notes)]), *ACCURACY)
    assert "1 of 2 others is not told apart from the one of highest reward (95%" in chosen
    same = verdict(frame.assign(proposal=["{}", "{}", json.dumps(notes).replace(second, first)]), *ACCURACY)
    assert "not told apart from the winner (95%" in same


def test_a_minival_that_is_large_enough_is_said_too():
    """Nothing is left open: no size is proposed."""
    said = verdict(table([[0.92], [0.90], [0.5]], seeds=(0,), images=10**6), *ACCURACY)
    assert "0 of 2 others are not told apart" in said
    assert "would tell" not in said


def test_what_images_cannot_do_is_not_promised():
    """Where S is too uncertain, or two are equal, no minival tells the first from the second."""
    frame = table([[0.92], [0.91]], seeds=(0,), images=500).assign(s_low=0.5, s_high=2.0)
    frame["reward_se"] = np.hypot(frame["reward_se"], 0.02)
    said = verdict(frame, "weighted_product", {"w": -0.07, "v": 0.0}, 0.95)
    assert said.endswith("step times and seeds err by more than their gap")
