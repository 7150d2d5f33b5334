"""Ray, started once for the tests of a file."""

import pytest

from nas.cluster.process import RayProcess


@pytest.fixture(scope="module")
def ray():
    process = RayProcess(None)
    process.start()
    yield process
    process.close()
