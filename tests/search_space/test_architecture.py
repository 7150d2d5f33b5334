"""The records, their JSON and ids, and the block strings of both dialects."""

import dataclasses
import json
import subprocess
import sys

import pytest
from hypothesis import given

from search_space.architecture import Architecture, Stage
from search_space.block_strings import from_block_strings, to_block_strings
from search_space.families import PUBLISHED, published

STAGE = Stage("mbconv", 2, 3, 4, 24, 2, 0.25)
SMALL = Architecture(16, (STAGE, Stage("fused_mbconv", 1, 5, 1, 40, 1)), 128, stem_stride=1, image_size=32)

# EfficientNet-B0 and EfficientNetV2-S as google/automl writes them
B0_STRINGS = """r1_k3_s1_e1_i32_o16_se0.25 r2_k3_s2_e6_i16_o24_se0.25 r2_k5_s2_e6_i24_o40_se0.25
 r3_k3_s2_e6_i40_o80_se0.25 r3_k5_s1_e6_i80_o112_se0.25 r4_k5_s2_e6_i112_o192_se0.25 r1_k3_s1_e6_i192_o320_se0.25"""
S_STRINGS = """r2_k3_s1_e1_i24_o24_c1 r4_k3_s2_e4_i24_o48_c1 r4_k3_s2_e4_i48_o64_c1 r6_k3_s2_e4_i64_o128_se0.25
 r9_k3_s1_e6_i128_o160_se0.25 r15_k3_s2_e6_i160_o256_se0.25"""
# the same as timm writes them
B0_TIMM = """ds_r1_k3_s1_e1_c16_se0.25 ir_r2_k3_s2_e6_c24_se0.25 ir_r2_k5_s2_e6_c40_se0.25 ir_r3_k3_s2_e6_c80_se0.25
 ir_r3_k5_s1_e6_c112_se0.25 ir_r4_k5_s2_e6_c192_se0.25 ir_r1_k3_s1_e6_c320_se0.25"""
S_TIMM = """cn_r2_k3_s1_e1_c24_skip er_r4_k3_s2_e4_c48 er_r4_k3_s2_e4_c64 ir_r6_k3_s2_e4_c128_se0.25
 ir_r9_k3_s1_e6_c160_se0.25 ir_r15_k3_s2_e6_c256_se0.25"""


@given(...)
def test_json_round_trip_is_exact(architecture: Architecture):
    """A log read back gives the very architectures that were trained: equal records, equal ids."""
    again = Architecture.from_json(architecture.to_json())
    assert again == architecture
    assert again.arch_id == architecture.arch_id
    assert hash(again) == hash(architecture)
    assert Architecture.from_dict(json.loads(json.dumps(architecture.to_dict(), indent=2))) == architecture


def test_the_id_never_changes():
    """Logs of years share ids: this one was written down once. If it changes, old logs no longer match new runs."""
    assert SMALL.arch_id == "4d663029c935"
    assert published("efficientnetv2_s").arch_id == "99ed19208543"


@given(...)
def test_any_other_field_gives_another_id(architecture: Architecture, other: Architecture):
    """Two architectures share an id only if they are equal, hints included."""
    assert (architecture.arch_id == other.arch_id) == (architecture == other)
    for f in dataclasses.fields(Architecture):
        mixed = dataclasses.replace(architecture, **{f.name: getattr(other, f.name)})
        assert (mixed.arch_id == architecture.arch_id) == (mixed == architecture), f.name


def test_equal_numbers_of_other_types_are_the_same_architecture():
    """numpy integers out of an encoding, and `se_ratio: 0` typed by hand, must not make a second id."""
    import numpy as np

    given = Stage("mbconv", np.int64(2), np.int32(3), np.int8(4), np.int64(24), np.uint8(2), 1)  # type: ignore[arg-type]
    typed = Stage("mbconv", 2, 3, 4, 24, 2, 1.0)
    one, other = (Architecture(16, (stage,), 128) for stage in (given, typed))
    assert one == other
    assert one.to_json() == other.to_json()


def test_records_are_frozen():
    """An architecture used as a key must not change under the dict."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.head_channels = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"op": "conv"}, "unknown op 'conv'; did you mean 'mbconv'?"),
        ({"op": ["mbconv"]}, "unknown op"),
        ({"layers": 0}, "stage layers must be a whole number >= 1, got 0"),
        ({"layers": 1.5}, "stage layers must be a whole number, got 1.5"),
        ({"layers": True}, "stage layers must be a whole number >= 1, got True"),
        ({"layers": "2"}, "stage layers must be a whole number, got '2'"),
        ({"kernel_size": 4}, "stage kernel_size must be odd, got 4"),
        ({"expansion": 0}, "stage expansion must be a whole number >= 1, got 0"),
        ({"channels": -8}, "stage channels must be a whole number >= 1, got -8"),
        ({"stride": 3}, "stage stride must be 1 or 2, got 3"),
        ({"se_ratio": -0.1}, r"stage se_ratio must be a number in \[0, 1\], got -0.1"),
        ({"se_ratio": 1.1}, r"stage se_ratio must be a number in \[0, 1\], got 1.1"),
        ({"se_ratio": float("nan")}, r"stage se_ratio must be a number in \[0, 1\], got nan"),
        ({"se_ratio": None}, r"stage se_ratio must be a number in \[0, 1\], got None"),
    ],
)
def test_a_bad_stage_is_refused_by_field_and_value(changes, message):
    """A user who mistypes a stage is told which field, what it was and what it may be."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(STAGE, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stem_channels": 0}, "architecture stem_channels must be a whole number >= 1, got 0"),
        ({"head_channels": 12.0}, "architecture head_channels must be a whole number, got 12.0"),
        ({"stem_stride": 4}, "architecture stem_stride must be 1 or 2, got 4"),
        ({"stages": ()}, "architecture stages must be one or more Stage records"),
        ({"stages": ({"op": "mbconv"},)}, "architecture stages must be one or more Stage records"),
        ({"image_size": 0}, "architecture image_size must be a whole number >= 1, got 0"),
        ({"train_image_size": 32.5}, "architecture train_image_size must be a whole number, got 32.5"),
        ({"dropout": 1.0}, r"architecture dropout must be a number in \[0, 0.99\], got 1.0"),
    ],
)
def test_a_bad_architecture_is_refused_by_field_and_value(changes, message):
    """The same for the fields around the stages."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, **changes)


def changed(**changes):
    return {**SMALL.to_dict(), **changes}


def stage_changed(**changes):
    return changed(stages=[{**dataclasses.asdict(STAGE), **changes}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON at line 1, column 2: Expecting property name"),
        ("[]", "architecture must be a mapping, got list"),
        (json.dumps(changed(widht=3)), "unknown key 'widht' in architecture; known: stem_channels, stages"),
        (json.dumps({"stages": [], "head_channels": 8}), "missing key 'stem_channels' in architecture"),
        (json.dumps(changed(stages=None)), "architecture stages must be a list, got NoneType"),
        (json.dumps(changed(stages=["mbconv"])), "stage 1 must be a mapping, got str"),
        (json.dumps(stage_changed(kernel=3)), "unknown key 'kernel' in stage 1; known: op, layers, kernel_size"),
        (json.dumps(stage_changed(kernel_size=2)), "stage 1: stage kernel_size must be odd, got 2"),
        (json.dumps(changed(stages=[{"op": "mbconv"}])), "missing key 'layers' in stage 1"),
    ],
)
def test_bad_json_is_refused_by_key(text, message):
    """A file edited by hand fails with the key at fault."""
    with pytest.raises(ValueError, match=message):
        Architecture.from_json(text)


@pytest.mark.parametrize("strings", [B0_STRINGS, B0_TIMM])
def test_b0_reads_the_same_in_both_dialects(strings):
    """The strings people copy from google/automl and from timm mean the published network."""
    assert from_block_strings(strings.split(), stem_channels=32).stages == published("efficientnet_b0").stages


@pytest.mark.parametrize("strings", [S_STRINGS, S_TIMM])
def test_v2_s_reads_the_same_in_both_dialects(strings):
    """The same for EfficientNetV2-S, with its fused stages and its one-convolution stage."""
    assert from_block_strings(strings.split(), stem_channels=24).stages == published("efficientnetv2_s").stages


def test_published_strings_are_written_as_their_authors_do():
    """What is written can be pasted into google/automl and timm."""
    b0, s = published("efficientnet_b0"), published("efficientnetv2_s")
    assert to_block_strings(b0) == B0_STRINGS.split()
    assert to_block_strings(s, "google") == S_STRINGS.split()
    assert to_block_strings(b0, "timm") == B0_TIMM.split()
    assert to_block_strings(s, "timm") == S_TIMM.split()


@given(...)
def test_google_strings_round_trip(architecture: Architecture):
    """Every stage of every architecture survives: any kernel, expansion and every digit of the SE ratio."""
    again = from_block_strings(to_block_strings(architecture), head_channels=architecture.head_channels)
    assert again.stages == architecture.stages
    assert again.stem_channels == architecture.stem_channels


@given(...)
def test_timm_strings_round_trip_where_timm_has_the_block(architecture: Architecture):
    """The same for timm's dialect, but for the one block that timm lacks, which is refused instead of changed."""
    lacking = [s.op == "fused_mbconv" and s.expansion == 1 and s.se_ratio > 0 for s in architecture.stages]
    if any(lacking):
        with pytest.raises(ValueError, match="timm has no one-convolution block with squeeze-and-excitation"):
            to_block_strings(architecture, "timm")
    else:
        strings = to_block_strings(architecture, "timm")
        assert from_block_strings(strings, stem_channels=architecture.stem_channels).stages == architecture.stages


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_networks_survive_both_dialects_whole(name):
    """With stem, head and hints given beside the strings, the whole published record comes back."""
    architecture = published(name)
    hints = {name: getattr(architecture, name) for name in ("image_size", "train_image_size", "dropout")}
    for dialect in ("google", "timm"):
        strings = to_block_strings(architecture, dialect)
        channels = {"stem_channels": architecture.stem_channels, "head_channels": architecture.head_channels}
        assert from_block_strings(strings, **channels, **hints) == architecture


def test_block_strings_as_others_write_them():
    """google/automl's early strings give the stride twice (`s22`), timm's may leave the expansion of `ds` out."""
    assert from_block_strings(["r1_k3_s22_e6_i32_o16_se0.25"]).stages[0].stride == 2
    assert from_block_strings(["ds_r1_k3_s1_c16"]).stages[0] == Stage("mbconv", 1, 3, 1, 16, 1)
    assert from_block_strings([" er_r1_k3_s1_e4_c16\n"]).stages[0].op == "fused_mbconv"


def test_stem_channels_default_to_what_the_strings_say():
    """Google's strings carry the stem's channels; timm's do not, and timm's default is 32."""
    assert from_block_strings(["r1_k3_s1_e1_i48_o16"]).stem_channels == 48
    assert from_block_strings(["ds_r1_k3_s1_e1_c16"]).stem_channels == 32


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("r1_k3_s1_e1_i32_o16_x7", "cannot read 'x7' in block string 'r1_k3_s1_e1_i32_o16_x7'"),
        ("r1_r2_k3_s1_e1_i32_o16", "cannot read 'r2' in block string"),
        ("", "cannot read '' in block string ''"),
        ("r1_k3_s1_e1_i32", "block string 'r1_k3_s1_e1_i32' has no 'o'"),
        ("k3_s1_e1_i32_o16", "block string 'k3_s1_e1_i32_o16' has no 'r'"),
        ("r1_s1_e1_i32_o16", "has no 'k'"),
        ("r1_k3_e1_i32_o16", "has no 's'"),
        ("ir_r1_k3_s1_e4", "block string 'ir_r1_k3_s1_e4' has no 'c'"),
        ("r1_k3_s1_e1.5_i32_o16", "cannot read block string 'r1_k3_s1_e1.5_i32_o16': expansion must be a whole number"),
        ("r1_k3_s1_e1_i3.5_o16", "cannot read block string 'r1_k3_s1_e1_i3.5_o16': invalid literal"),
        ("r1_k3_s1_e1..2_i3_o16", "cannot read block string"),
        ("r1_k4_s1_e1_i32_o16", "cannot read block string 'r1_k4_s1_e1_i32_o16': stage kernel_size must be odd, got 4"),
        ("r1_k3_s1_e1_i32_o16_c7", "cannot read block string .*: unknown conv type c7; known: c0, c1"),
        ("er_r2_k3_s1_e4_c24_noskip", "cannot read 'noskip'"),
        ("dsa_r1_k3_s1_e1_c16", "cannot read 'dsa'"),
        # what timm builds of these has other layers and other parameters than any op here
        ("ir_r1_k3_s1_e1_c16", "timm's 'ir' with expansion 1 is no op known here"),
        ("er_r1_k3_s1_e1_c16", "timm's 'er' with expansion 1 is no op known here"),
        ("ds_r1_k3_s1_e6_c16", "timm's 'ds' with expansion 6 is no op known here"),
        ("cn_r1_k3_s1_e4_c16_skip", "timm's 'cn' with expansion 4 is no op known here"),
        ("cn_r1_k3_s1_e1_c16", "has no residual; only `cn_..._skip` is known"),
        ("cn_r1_k3_s1_e1_c16_se0.25_skip", "timm's 'cn' ignores squeeze-and-excitation"),
    ],
)
def test_a_string_that_cannot_be_read_is_quoted(string, message):
    """A wrong string must fail by name, not become a network of another size."""
    with pytest.raises(ValueError, match=message):
        from_block_strings([string])


def test_strings_that_do_not_fit_together_are_refused():
    """A row left out when copying shows in the channels."""
    with pytest.raises(ValueError, match="'r2_k3_s2_e6_i24_o40' takes 24 channels but gets 16"):
        from_block_strings(["r1_k3_s1_e1_i32_o16", "r2_k3_s2_e6_i24_o40"])
    with pytest.raises(ValueError, match="no block strings given"):
        from_block_strings([])


def test_unknown_dialect():
    """Only two dialects are known."""
    with pytest.raises(ValueError, match="unknown dialect 'keras'; known: google, timm"):
        to_block_strings(SMALL, "keras")


def test_records_and_spaces_start_without_torch():
    """Reading a log or a space must not wait for torch."""
    code = (
        "import sys, search_space.space, search_space.spaces, search_space.families, search_space.cost_range;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
