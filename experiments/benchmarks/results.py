"""Write what a benchmark measured: the figures as JSON, the table beside them; searches one by one, to go on with."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits


def write(folder: Path, benchmark: str, record: dict[str, Any], text: str) -> None:
    """Write DATE-BENCHMARK-DEVICE.json and .md.

    Args:
        record: what was measured; `date` (ISO 8601) and `device` are in it.
        text: the same as markdown.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", record["device"].lower()).strip("-")
    path = folder / f"{record['date'][:10]}-{benchmark}-{slug}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)


def all_searched(
    given: argparse.Namespace, search: Callable[[str, int, int, argparse.Namespace], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Run the searches that `given.out` does not have, on one BLAS thread, and give those that it has then.

    Args:
        given: `variants` and `landscapes` (numbers), by commas, `seeds`, and `out`: JSON lines, one of each search.
        search: of a variant, a landscape's number and a seed: its record, with these as `variant`, `number`, `seed`.
    """
    records = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    done = {(each["variant"], each["number"], each["seed"]) for each in records}
    with threadpool_limits(1), given.out.open("a") as file:
        for seed in range(given.seeds):
            for number in map(int, given.landscapes.split(",")):
                for variant in given.variants.split(","):
                    if (variant, number, seed) not in done:
                        records.append(search(variant, number, seed, given))
                        file.write(json.dumps(records[-1]) + "\n")
                        file.flush()
    return records


def by_case(
    records: list[dict[str, Any]], variants: list[str]
) -> tuple[dict[tuple[Any, ...], dict[str, Any]], list[tuple[Any, ...]]]:
    """Give the searches by variant, landscape and seed, and the pairs of landscape and seed that all variants have."""
    by = {(each["variant"], each["number"], each["seed"]): each for each in records}
    return by, sorted({key[1:] for key in by if all((name, *key[1:]) in by for name in variants)})


def mean_error(values: Any, sign: str = "") -> str:
    """Write the mean of values and its standard error; `sign` is `+` for differences."""
    array: NDArray[np.float64] = np.asarray(values)
    return f"{array.mean():{sign}.3f} ± {array.std(ddof=1) / math.sqrt(len(array)):.3f}"
