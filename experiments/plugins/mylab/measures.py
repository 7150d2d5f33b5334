"""A measured column: the memory that the stages' outputs take, which training keeps until the backward pass."""

from __future__ import annotations

from nas.measure import Subject


def features_mb(subject: Subject) -> dict[str, float]:
    """Give MiB of the stages' outputs for one image, in fp32."""
    import torch

    image = torch.zeros(1, subject.in_channels, subject.image_size, subject.image_size, device=subject.device)
    with torch.no_grad():
        features = subject.network.features(image)
    return {"features_mb": sum(each.numel() for each in features) * 4 / 2**20}
