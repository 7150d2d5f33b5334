"""Plug-ins: modules of the user's that register ops, rewards, algorithms and the like when they are imported.

`plugins: [mylab]` in a configuration has them imported by the command and by every worker before anything else of the
run is read, and stands in the run's resolved configuration, so that who reads the run needs no flag.
"""

from __future__ import annotations

from collections.abc import Iterable

from search_space.lookup import describe, import_module


class PluginError(ValueError):
    """A plug-in cannot be imported here."""


def load(names: Iterable[str], *, wanted_by: str = "") -> None:
    """Import modules by name; one that is imported already is left as it is.

    Args:
        wanted_by: who asks for them, for the message: a file, a run folder.
    Raises: PluginError naming the first one that cannot be imported, and why.
    """
    for name in names:
        try:
            import_module(name)
        except Exception as error:  # whatever a module raises while it is imported
            whose = f" of {wanted_by}" if wanted_by else ""
            raise PluginError(f"plugin {name!r}{whose} cannot be imported: {describe(error)}") from error
