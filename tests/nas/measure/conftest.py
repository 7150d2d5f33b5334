import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    """Compute on one thread, as a worker of a search does; several would fight for a busy machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
