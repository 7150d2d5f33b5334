"""Crops, RandAugment, Mixup, CutMix, erasing, RMSProp, EMA and schedules equal independent computations."""

import sys
from pathlib import Path

import pytest
import torch

from nas.data import colour

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def test_no_difference_is_larger_than_it_may_be() -> None:
    """A small version of the benchmark: each step of a training is what Pillow, numpy or a formula makes it."""
    from experiments.benchmarks.reference import compare, table
    from nas.data.policies import POLICIES

    torch.set_num_threads(1)
    rows = list(compare(draws=3000, images=24, steps=40))
    assert not [row for row in rows if not row.difference <= row.bound], table(rows)
    for policy, operations in POLICIES.items():
        assert {f"{policy}, {name}" for name in operations} <= {row.what for row in rows}
    for what in ("crop boxes", "crops, sharpness", "resized crop", "Mixup", "CutMix", "erasing", "RMSProp", "EMA"):
        assert any(row.what.startswith(what) for row in rows), what
    assert {f"learning rate, {name}" for name in ("cosine", "exponential", "constant")} <= {row.what for row in rows}


def test_a_wrong_operation_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is one: an operation that is off by a bit, or a half, is over its bound."""
    from experiments.benchmarks import reference_augmentation
    from nas.data import randaugment

    monkeypatch.setitem(randaugment.TABLES, "posterize", lambda bits: colour.posterize((bits + 1).clamp(max=8)))
    monkeypatch.setattr(reference_augmentation.mixing, "_blend", lambda images, partners, share: images.float())
    images = torch.randint(0, 256, (2, 128, 128, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    facts = [*reference_augmentation.operations(images), *reference_augmentation.mixed(1000)]
    over = {what for what, _, difference, _, bound in facts if difference > bound}
    assert over == {"increasing, posterize", "official, posterize", "Mixup, pixels"}


def test_the_command_writes_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is printed, and stands with versions and numbers in the files of the results."""
    from experiments.benchmarks import reference

    monkeypatch.setattr(reference, "compare", lambda *_: [reference.Row("a", "b", 0.5, "levels", 1.0)])
    monkeypatch.setattr(sys, "argv", ["reference", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        reference.main()
    assert not ended.value.code
    assert "| a | b | 0.5 | 1 | levels |" in capsys.readouterr().out
    written = sorted(path.suffix for path in tmp_path.iterdir())
    assert written == [".json", ".md"]
