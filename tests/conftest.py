"""Settings of every test. On a machine that came with a GPU and little else, packages of tests may be missing."""

import signal
from pathlib import Path

try:
    from hypothesis import settings
except ImportError:
    settings = None

if settings is not None:
    settings.register_profile("project", deadline=None)  # a busy machine is no failure
    settings.load_profile("project")


def pytest_addoption(parser, pluginmanager):
    """Without pytest-timeout its setting in pyproject.toml would be an unknown one, and end everything."""
    if not pluginmanager.hasplugin("timeout"):
        parser.addini("timeout", "read by pytest-timeout, which is not here: tests run without a limit")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # our commands heed that, and tests ask them to stop
    if not config.pluginmanager.hasplugin("timeout"):
        config.addinivalue_line("markers", "timeout(seconds): read by pytest-timeout, which is not here")


SLOW = ("cluster", "nas/search", "nas/cluster", "nas/full_training", "nas/claims", "test_")  # most of them start Ray


def pytest_collection_modifyitems(items):
    """What takes long comes first: at the end no process waits minutes for the file that another has begun."""
    slow = tuple(str(Path(__file__).parent / name) for name in SLOW)
    items.sort(key=lambda item: not str(item.path).startswith(slow))
