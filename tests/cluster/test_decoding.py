"""A data set that only the driver has, decoded by the nodes of its cluster."""

import sys

import numpy as np
import pytest
from PIL import Image

CONFIG = """
space: {name: small, image_size: 32}
image_size: 32
data: {source: folder, path: /tmp/images, cache_dir: CACHE, minival: 100}
"""


@pytest.mark.timeout(300)
def test_nodes_decode_what_they_cannot_see(cluster):
    """One of them is cut off half-way; what comes is what the driver makes by itself."""
    head, first, _ = cluster
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        folder = head.file(f"/tmp/images/{label}")
        folder.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)).resize((800, 800)).save(folder / "0.jpg")
        for i in range(1, 1500):
            (folder / f"{i}.jpg").hardlink_to(folder / "0.jpg")

    def prepare(cache, *arguments):
        head.file(f"{cache}.yaml").write_text(CONFIG.replace("CACHE", cache))
        words = ("-m", "nas.cli", "data", "prepare", f"{cache}.yaml", *arguments)
        return head.start(sys.executable, *words)

    def fingerprint(process):
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        return next(line.split()[-1] for line in output.splitlines() if line.startswith("fingerprint"))

    by_nodes = prepare("/tmp/one", "--address", head.ray)
    while not list(head.file("/tmp/one").glob("*.part/train_chunks/256.npz")):
        assert by_nodes.poll() is None, by_nodes.communicate()
    first.stop_ray()
    assert fingerprint(by_nodes) == fingerprint(prepare("/tmp/other"))
