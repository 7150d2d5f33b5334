"""How hypothesis draws stages, architectures and search spaces: small ones, with every field at its edges."""

import torch
from hypothesis import strategies as st

from search_space.architecture import Architecture, Stage
from search_space.choices import StageChoices
from search_space.ops import OPS
from search_space.space import SearchSpace

torch.set_num_threads(1)

FIELDS = {
    "op": st.sampled_from(sorted(OPS)),
    "layers": st.integers(1, 3),
    "kernel_size": st.sampled_from([1, 3, 5, 7]),
    "expansion": st.integers(1, 6),
    "channels": st.integers(1, 40),
    "stride": st.integers(1, 2),
    "se_ratio": st.one_of(st.sampled_from([0.0, 0.25, 1.0]), st.floats(0, 1)),
}
HINTS = {
    "stem_channels": st.integers(1, 32),
    "head_channels": st.integers(1, 64),
    "stem_stride": st.integers(1, 2),
    "image_size": st.one_of(st.none(), st.integers(1, 600)),
    "train_image_size": st.one_of(st.none(), st.integers(1, 600)),
    "dropout": st.floats(0, 0.9),
}


def choices(values, most):
    return st.lists(values, min_size=1, max_size=most, unique=True).map(tuple)


st.register_type_strategy(Stage, st.builds(Stage, **FIELDS))
st.register_type_strategy(
    Architecture,
    st.builds(Architecture, stages=st.lists(st.from_type(Stage), min_size=1, max_size=3).map(tuple), **HINTS),
)
st.register_type_strategy(
    StageChoices, st.builds(StageChoices, **{name: choices(values, 2) for name, values in FIELDS.items()})
)
st.register_type_strategy(
    SearchSpace,
    st.builds(SearchSpace, stages=st.lists(st.from_type(StageChoices), min_size=1, max_size=3).map(tuple), **HINTS),
)
