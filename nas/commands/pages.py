"""Which page of the documentation helps with an error: that of the part of the toolkit which found it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

# Part of the toolkit -> page of the site, without ending: data is docs/data.md, and data.html in the built site.
# Of the deepest part that an error came through; the longest name that fits counts.
PAGES = {
    "nas.algorithms": "recipes/search",
    "nas.architectures": "faq",
    "nas.claims": "guides/claims",
    "nas.claims.proxy": "guides/proxy",
    "nas.claims.proxy_plan": "guides/proxy",
    "nas.cluster": "guides/cluster",
    "nas.cluster.share": "faq",
    "nas.config": "reference/settings",
    "nas.config.examples": "start",
    "nas.config.train": "guides/training",
    "nas.data": "data",
    "nas.data.description": "guides/images",
    "nas.export": "guides/export",
    "nas.export.deepcave": "guides/other_tools",
    "nas.export.hub": "guides/other_tools",
    "nas.export.optuna": "guides/other_tools",
    "nas.families": "guides/families",
    "nas.full_training": "guides/training",
    "nas.measure": "explanation/step_time",
    "nas.measure.settings": "reference/settings",
    "nas.plugins": "guides/plugins",
    "nas.replay": "guides/logs",
    "nas.runs.columns": "reference/columns",
    "nas.search.checks": "faq",
    "nas.search.continuation": "guides/resuming",
    "nas.search.warm_start": "guides/resuming",
    "nas.trackers": "callbacks",
    "nas.training": "guides/training",
    "nas.training.ranges": "reference/settings",
    "nas.training.settings": "reference/settings",
    "rewards": "explanation/reward",
    "scaling": "guides/families",
    "search_space": "guides/space",
    "search_space.block_strings": "guides/training",
    "search_space.families": "guides/training",
    "search_space.lookup": "",  # that of whoever looks a name up
    "search_space.yaml_text": "reference/settings",
}


def page_of(error: BaseException) -> str | None:
    """Give the page that helps with an error, `guides/space`; None where there is none."""
    found = None
    for module in _modules(_first(error)):
        fitting = [name for name in PAGES if module == name or module.startswith(f"{name}.")]
        found = PAGES[max(fitting, key=len)] or found if fitting else found
    return found


def _first(error: BaseException) -> BaseException:
    """The error that it was raised from, or while it was handled, and so on: where it was found."""
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error


def _modules(error: BaseException) -> Iterator[str]:
    yield from (str(frame.f_globals.get("__name__")) for frame, _ in traceback.walk_tb(error.__traceback__))
