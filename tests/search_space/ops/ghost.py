"""A user's op, in a file of their own: a Ghost block (arXiv:1911.11907) with options of every type."""

from search_space.ops import OPS, Op, Option


def module(b, drop_path):
    import torch
    from torch import nn

    class Ghost(nn.Module):
        """No drop path, no squeeze-and-excitation, names of its own: any form will do."""

        def __init__(self):
            super().__init__()
            first = -(-b.channels // b.options["ratio"])
            rest, k = first * (b.options["ratio"] - 1), b.kernel_size
            self.primary = nn.Sequential(
                nn.Conv2d(b.in_channels, first, 1, b.stride, bias=False), nn.BatchNorm2d(first), nn.ReLU()
            )
            self.cheap = nn.Conv2d(first, rest, k, 1, k // 2, groups=first, bias=False) if rest else None
            self.project = nn.Conv2d(b.in_channels, b.channels, 1, b.stride) if b.options["projects"] else None
            self.scale = nn.Parameter(torch.ones(b.channels)) if b.options["gate"] == "per_channel" else None

        def forward(self, x):
            y = self.primary(x)
            if self.cheap is not None:
                y = torch.cat([y, self.cheap(y)], 1)[:, : b.channels]
            if self.project is not None:
                y = y + b.options["project_share"] * self.project(x)
            return y if self.scale is None else y * self.scale[:, None, None]

    return Ghost()


def cost(b):
    ratio, projects = b.options["ratio"], b.options["projects"] * 1
    first = (b.channels + ratio - 1) // ratio
    rest = first * (ratio - 1)
    primary, cheap, project = b.in_channels * first, b.kernel_size**2 * rest, projects * b.in_channels * b.channels
    gate = (b.options["gate"] == "per_channel") * b.channels
    params = primary + 2 * first + cheap + project + projects * b.channels + gate
    macs = (primary + cheap + project) * b.out_pixels
    return params, macs, (first + rest + projects * b.channels) * b.out_pixels


GHOST = Op(
    module=module,
    cost=cost,
    options={
        "ratio": Option(2, least=1, most=8),
        "projects": Option(False),
        "project_share": Option(1.0, least=0, most=10),
        "gate": Option("none", among=("none", "per_channel")),
    },
)
OPS["ghost"] = GHOST
