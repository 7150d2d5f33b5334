import pytest
import torch

from nas.measure.profile import profile, static_parts
from nas.measure.settings import StepTimeSettings
from search_space.architecture import Architecture, Stage
from search_space.cost import count
from search_space.families import published

CPU = torch.device("cpu")
STAGES = (Stage("fused_mbconv", 1, 3, 1, 8, 1), Stage("mbconv", 2, 3, 4, 16, 2, 0.25))
SMALL = Architecture(stem_channels=8, stages=STAGES, head_channels=16)


@pytest.mark.parametrize("architecture", [SMALL, published("efficientnetv2_b0"), published("efficientnet_b0")])
def test_static_parts_make_up_the_whole(architecture):
    """What fvcore counts of the parts is, summed, the closed form's parameters, MACs and activations to the unit."""
    parts = static_parts(architecture, 64, 10)
    assert [*parts] == ["stem", *(f"stage{n + 1}" for n in range(len(architecture.stages))), "head"]
    sums = tuple(sum(getattr(part, name) for part in parts.values()) for name in ("params", "macs", "activations"))
    assert sums == count(architecture, 64, 10)


def test_profile_says_what_was_measured_and_parts_make_up_the_step():
    """One row has counts, the ratio with its interval, memory, and parts whose shares add up to the step's time."""
    settings = StepTimeSettings(min_pairs=6, max_pairs=6, lock=False)
    row = profile(
        SMALL,
        reference=SMALL,
        device=CPU,
        image_size=16,
        batch_size=4,
        num_classes=10,
        precision="bf16",
        settings=settings,
    )
    assert row.cost == count(SMALL, 16, 10)
    measured = row.step_time
    assert (measured.batch_size, measured.image_size, measured.precision, measured.n) == (4, 16, "bf16", 6)
    assert measured.ratio_low <= measured.ratio <= measured.ratio_high
    assert [part.name for part in row.parts] == ["stem", "stage1", "stage2", "head", "update"]
    assert row.parts[2].what == "r2_k3_s2_e4_i8_o16_se0.25"
    assert sum(part.share for part in row.parts) == pytest.approx(1)
    assert sum(part.forward_s + part.backward_s for part in row.parts) == pytest.approx(measured.step_time_s)
    assert all(part.forward_s > 0 for part in row.parts)
