"""How sure a run's numbers are: standard errors, what seeds do, and what is not told apart from the winner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from nas.measure.settings import StepTimeSettings
from nas.runs.chosen import Notes, chosen
from nas.runs.ranking import counts
from nas.runs.repeats import Estimate, posterior
from nas.runs.text import short
from nas.runs.trial import is_metric
from nas.training.settings import TrainSettings
from nas.trials.scoring import score_error
from rewards.uncertainty import CONFIDENCE, accuracy_error, critical, images_needed, told_apart

_ERRORS = ("accuracy_se", "minival_images", "reward_se")
_LARGEST = 10**7  # images of a minival


def scored(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Say which rows count in a ranking, as `nas.runs.ranking.counts` does of each."""
    status, reward = frame["status"], frame["reward"]
    if reward.dtype == object:  # of a table of one's own
        return np.array([counts(*each) for each in zip(status, reward, strict=True)], bool)
    known = status.isin([each for each in status.unique() if counts(each, 0.0)])
    return np.asarray(known.to_numpy(bool) & np.isfinite(reward.to_numpy(float)))


def fields_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Give the rows as fields of a Trial, `metrics` among them; what is not known is None."""
    rows = []
    for row in frame.to_dict("records"):
        known = {str(k): None if isinstance(v, float) and math.isnan(v) else v for k, v in row.items()}
        rows.append(known | {"metrics": {name: value for name, value in known.items() if is_metric(name)}})
    return rows


# ---- errors of each trial


def with_errors(frame: pd.DataFrame, config: Mapping[str, Any], curves: Iterable[Any] = ()) -> pd.DataFrame:
    """Fill in the standard errors that a log of an earlier version, or an evaluator of one's own, did not write.

    Args:
        config: of the run, plain data.
        curves: of the trials; their accuracies help to find out how large an earlier version's minival was.
    Returns: the table with `accuracy_se`, `minival_images` and `reward_se`; NaN where they cannot be known.
    """
    frame = frame.reindex(columns=[*frame.columns, *(name for name in _ERRORS if name not in frame.columns)])
    frame = frame.astype(dict.fromkeys(_ERRORS, "float64"))
    earlier = frame["minival_images"].isna() & frame["accuracy_se"].isna() & frame["accuracy"].notna()
    if earlier.any() and (images := _minival_of_earlier(config, frame["accuracy"], curves)):
        frame.loc[earlier, "minival_images"] = images
        frame.loc[earlier, "accuracy_se"] = [accuracy_error(a, images) for a in frame.loc[earlier, "accuracy"]]
    own = dict(config.get("reward") or {})
    name = own.pop("name", None)
    lacking = frame["reward_se"].isna() & scored(frame)
    if name and lacking.any():
        frame.loc[lacking, "reward_se"] = reward_errors(frame[lacking], name, own, confidence_of(config))
    return frame


def reward_errors(frame: pd.DataFrame, name: str, settings: Mapping[str, Any], confidence: float) -> list[float]:
    """Give the standard error of each row's reward, see `nas.trials.scoring.score_error`."""
    return [score_error(fields, name, settings, confidence=confidence) for fields in fields_of(frame)]


def confidence_of(config: Mapping[str, Any]) -> float:
    """Give the confidence of a run's intervals of S."""
    return float((config.get("step_time") or {}).get("confidence", StepTimeSettings.confidence))


def _minival_of_earlier(config: Mapping[str, Any], accuracies: Iterable[float], curves: Iterable[Any]) -> int | None:
    """Find how many images minival had, where trials do not say: as configured, or what all accuracies are shares of.

    An accuracy is a whole number of images over all of them. What divides all accuracies divides the images: it is
    their number, or a part of it, with which errors come out too large rather than too small.
    """
    search, training, data = (config.get(part) or {} for part in ("search", "training", "data"))
    usual = training.get("objective") in (None, TrainSettings.objective)
    if not (usual and str(search.get("evaluator", "nas.")).startswith("nas.")):
        return None  # who knows what it calls accuracy
    if (held := data.get("minival", 0)) >= 1:
        return int(held)
    found = {float(a) for a in accuracies if a is not None and math.isfinite(a)}
    found |= {float(e["accuracy"]) for curve in curves for e in curve or () if e.get("accuracy") is not None}
    shares = [Fraction(each).limit_denominator(_LARGEST) for each in found]
    images = math.lcm(*(share.denominator for share in shares))
    exact = all(float(share) == each for share, each in zip(shares, found, strict=True))
    return images if exact and len(found) >= 3 and images <= _LARGEST else None


# ---- architectures beside each other


def estimates(frame: pd.DataFrame) -> pd.DataFrame:
    """Give what is known of each architecture, best first: the mean of its trials, and how sure that is.

    A trial errs because minival has so many images only, and because another seed would have trained other weights.
    The first is in `accuracy_se` and `reward_se` of each trial; trials on the same images share it, so it stays as
    large in their mean. The second is known where architectures were trained with several seeds: the variance of
    their trials around their means, pooled, is added for every architecture, over its number of trials. Without any
    repetition it is left out, and the errors are those of the images (and of S) alone.

    Args:
        frame: trials that can be compared: of one run, or of runs and `nas.evaluate` with other seeds.
    Returns: `arch_id`, `trials` (scored, with distinct seeds), `accuracy`, `accuracy_se`, `reward`, `reward_se`,
        `told_apart`: True = worse than the first for sure, False = not told apart from it, None = not known. Where any
        was trained several times they stand by `posterior_mean`, with `posterior_sd`; see nas/runs/repeats.py.
    """
    names = ["arch_id", "seed", "accuracy", "accuracy_se", "reward", "reward_se"]
    trials = frame.reindex(columns=names)[scored(frame)]
    numbers, arch_ids = pd.factorize(trials["arch_id"])
    trials = trials.assign(arch_id=numbers)  # which are quicker to group by than text
    trials = trials[trials["seed"].isna() | ~trials.duplicated(["arch_id", "seed"])]
    groups = trials.groupby("arch_id", sort=False)
    found = groups.size().rename("trials").to_frame()
    for name in ("accuracy", "reward"):
        values = trials[name].astype("float64")
        from_images = (trials[f"{name}_se"].astype("float64") ** 2).groupby(trials["arch_id"], sort=False)
        variance, of_seeds = from_images.mean().to_numpy(), np.zeros(len(found))
        if (degrees := len(trials) - len(found)) > 0:
            deviations = values - values.groupby(trials["arch_id"]).transform("mean")
            of_seeds = float(np.nansum(deviations**2)) / degrees / found["trials"].to_numpy()
        found[name], found[f"{name}_se"] = groups[name].mean(), np.sqrt(variance + of_seeds)
    # What the images leave open is known, what seeds do was measured a few times.
    freedom = float(degrees) if degrees > 0 else np.inf
    apart = told_apart(found["reward"], found["reward_se"], of_repetitions=np.sqrt(of_seeds), freedom=freedom)
    found["told_apart"] = pd.Series(_words(apart), found.index, dtype=object)
    by = "reward"
    if degrees > 0:
        known = posterior(trials["arch_id"].tolist(), trials["reward"].to_numpy(), trials["reward_se"].to_numpy())
        order, by = [int(each) for each in known.architectures], "posterior_mean"
        found.loc[order, "posterior_mean"], found.loc[order, "posterior_sd"] = known.mean, known.std
    found.index = pd.Index(arch_ids[found.index], name="arch_id")
    return found.sort_values(by, ascending=False, kind="stable").reset_index()


def winner(frame: pd.DataFrame, found: pd.DataFrame | None = None) -> int | None:
    """Give the number of the best trial, see nas/runs/ranking.py; None if none is scored.

    Args:
        found: the table's estimates, where they were made already.
    """
    known = frame.loc[scored(frame), frame.columns.intersection(["trial_id", "arch_id", "reward"])]
    if known.empty:  # a run without trials has no such columns
        return None
    if known["arch_id"].nunique() < len(known):
        found = estimates(frame) if found is None else found
        known = known[known["arch_id"] == found["arch_id"].iloc[0]]
    elif estimate := choice(frame):
        known = known[known["arch_id"] == estimate.arch_id]
    return int(known.nlargest(1, "reward")["trial_id"].iloc[0])


def choice(frame: pd.DataFrame) -> Estimate | None:
    """Say which architecture is best and how sure that is; None where single rewards are all. See nas/runs/chosen.py.

    What a model noted is of its own run, so that of several runs it does not count.
    """
    wanted = frame.columns.intersection(["arch_id", "reward", "reward_se", "proposal", "run_id"])
    known = frame.loc[scored(frame), wanted]
    if known.empty:
        return None
    alone = "proposal" in known and not ("run_id" in known and known["run_id"].nunique() > 1)
    numbers = known[["reward", "reward_se"]].astype("float64") if "reward_se" in known else known[["reward"]]
    errors = numbers["reward_se"].tolist() if "reward_se" in numbers else [math.nan] * len(known)
    notes = Notes(known["proposal"].tolist() if alone else [{}] * len(known))
    return chosen(known["arch_id"].tolist(), numbers["reward"].tolist(), errors, notes)


def how_sure(frame: pd.DataFrame) -> str | None:
    """Say in a line what is known of the winner, and which trial looked best; None where single rewards are all."""
    chosen = choice(frame)
    if chosen is None:
        return None
    chance = "" if chosen.chance is None else f", the best of all tried with {chosen.chance:.0%}"
    after = f" after {chosen.trainings} trainings" if chosen.trainings > 1 else ""
    seen = frame[scored(frame)].nlargest(1, "reward").iloc[0]
    return (
        f"best: {chosen.arch_id}, posterior mean {chosen.mean:.4f} ± {chosen.std:.4f}{after}{chance}; "
        f"best seen: trial {seen['trial_id']}, {seen['reward']:.4f}"
    )


def with_told_apart(rows: pd.DataFrame, frame: pd.DataFrame, found: pd.DataFrame | None = None) -> pd.DataFrame:
    """Mark rows of a table: whether each trial's architecture is told apart from the best of the whole table.

    Args:
        found: the table's estimates, where they were made already.
    """
    if rows.empty or not {"arch_id", "reward", "status"} <= set(frame.columns):
        return rows  # nothing to be told apart, or a table of one's own
    found = estimates(frame) if found is None else found
    known = found[found["arch_id"].isin(rows["arch_id"])].set_index("arch_id")["told_apart"]
    return rows.assign(told_apart=pd.Series([known.get(each) for each in rows["arch_id"]], rows.index, dtype=object))


def _words(apart: NDArray[np.float64]) -> NDArray[np.object_]:
    words = (apart > 0).astype(object)
    words[np.isnan(apart)] = None
    return words


# ---- what is said of it


def verdict(
    frame: pd.DataFrame,
    name: str,
    settings: Mapping[str, Any],
    confidence: float,
    found: pd.DataFrame | None = None,
) -> str | None:
    """Say in a line what a run does not tell apart, and how many minival images would; None where that is not known.

    Args:
        name, settings: of the reward.
        confidence: of the intervals of S.
        found: the table's estimates, where they were made already.
    """
    found = estimates(frame) if found is None else found
    if len(found) < 2 or math.isnan(found["accuracy_se"].iloc[0]):
        return None
    first_two = found["arch_id"].head(2)
    of_them = frame[scored(frame) & frame["arch_id"].isin(first_two)]
    best = of_them.drop_duplicates("arch_id").set_index("arch_id").loc[first_two]
    images = float(best["minival_images"].iloc[0])
    lead = "" if math.isnan(images) else f"minival of {images:,.0f} images: "
    lead += f"accuracy is known to ±{found['accuracy_se'].iloc[0]:.4f}; "
    apart = list(found["told_apart"].iloc[1:])
    if apart.count(None) == len(apart):
        return f"{lead}the error of the reward is not known, so nothing is told apart from the winner"
    seeds = "" if (found["trials"] > 1).any() else ", not counting what other seeds would do"
    chosen = choice(frame)  # by a model, it need not be what looks best
    first = "winner" if chosen is None or chosen.arch_id == found["arch_id"].iloc[0] else "one of highest reward"
    alike = "are" if apart.count(False) != 1 else "is"
    said = f"{lead}{apart.count(False)} of {len(apart)} others {alike} not told apart from the {first} "
    said += f"({CONFIDENCE:.0%}{seeds})"
    if apart[0] is not False or math.isnan(images):
        return said
    return f"{said}; {_more_images(found, best, images, name, settings, confidence)}"


def _more_images(
    found: pd.DataFrame, best: pd.DataFrame, images: float, name: str, settings: Mapping[str, Any], confidence: float
) -> str:
    """Say what minival would tell the first two apart, did they differ as they seem to."""
    ends = [column for column in best.columns if str(column).endswith(("_low", "_high"))]
    of_accuracy = np.array(reward_errors(best.drop(columns=ends), name, settings, confidence))
    first, second = found["reward"].head(2)
    everything, part = float((found["reward_se"].head(2) ** 2).sum()), float((of_accuracy**2).sum())
    rest = math.sqrt(max(0.0, everything - part))
    wanted = images_needed(first - second, int(images), math.sqrt(part), rest, float(critical(len(found))))
    if math.isfinite(wanted):
        return f"about {short(wanted)} images, or `nas confirm` with more seeds, would tell the first from the second"
    return "no number of images would tell the first from the second: step times and seeds err by more than their gap"
