"""Searches of this process on one Ray, which knows the evaluators of these tests: to start one takes seconds."""

import os
from pathlib import Path

import pytest

EVALUATORS = Path(__file__).parent / "evaluators"


@pytest.fixture(scope="module")
def one_ray():
    """Every search of a module's that runs in this process finds Ray started."""
    from nas.cluster.process import RayProcess

    class Kept(RayProcess):
        def start(self):
            if not self.running:
                super().start()

        def close(self):
            """Leave it to the next search."""

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EVALUATORS)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(EVALUATORS), os.environ.get("PYTHONPATH", "")]))
        ray = Kept(None)
        patch.setattr("nas.search.run.RayProcess", lambda address: ray)
        yield
        RayProcess.close(ray)
