"""Callbacks that show or record a search or a training: a file each, imported when it is used."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from nas.trackers.callback import Callback
from search_space.lookup import describe, find, with_hint
from search_space.typed import type_hints

# Name in a configuration -> where it is. A plug-in may add the class of its own: TRACKERS["mine"] = Mine.
TRACKERS: dict[str, str | type[Callback]] = {
    "display": "nas.trackers.display:Display",
    "csv": "nas.trackers.csv:CSV",
    "tensorboard": "nas.trackers.tensorboard:TensorBoard",
    "mlflow": "nas.trackers.mlflow:MLflow",
    "wandb": "nas.trackers.wandb:WandB",
}


def make_callbacks(given: Any) -> list[Callback]:
    """Make the callbacks that a configuration names.

    Args:
        given: a list of names (a key of TRACKERS, or `module:Name`), of mappings of one name to its settings, which
            are the arguments of its class, and of callbacks, which stay as they are. None = none.
    Raises: ValueError: one line that names the callback, for one that is unknown, cannot be imported, or misses its
        library; an unknown setting, or one of the wrong type.

    >>> make_callbacks(["cvs"])
    Traceback (most recent call last):
        ...
    ValueError: unknown callback 'cvs'; did you mean 'csv'?
    """
    if given is not None and (isinstance(given, str | Mapping) or not isinstance(given, Iterable)):
        raise ValueError(f"callbacks must be a list, got {given!r}")
    return [one if isinstance(one, Callback) else _make(*_name_and_settings(one)) for one in given or ()]


def _refuse_class(given: Any) -> None:
    if isinstance(given, type):
        raise ValueError(f"a callback is an object, got the class {given.__name__}: write {given.__name__}()")


def _name_and_settings(given: Any) -> tuple[str, Mapping[str, Any]]:
    _refuse_class(given)
    if isinstance(given, str):
        return given, {}
    if isinstance(given, Mapping) and len(given) == 1:
        [(name, settings)] = given.items()
        if isinstance(name, str) and isinstance(settings, Mapping | None):
            return name, settings or {}
    raise ValueError(f"a callback is a name, or a mapping of one name to its settings, got {given!r}")


def _make(name: str, settings: Mapping[str, Any]) -> Callback:
    kind = find("callback", name, TRACKERS)
    if isinstance(kind, str):
        kind = find("callback", kind, {})
    if not (isinstance(kind, type) and issubclass(kind, Callback)):
        raise ValueError(f"callback {name!r} must be a class derived from nas.trackers.callback.Callback")
    arguments = _checked(name, kind, settings)
    try:
        return kind(**arguments)
    except (TypeError, ValueError, ImportError) as error:
        raise ValueError(f"callback {name!r} {error}") from error
    except Exception as error:  # whatever a class of the user's raises
        raise ValueError(f"callback {name!r} cannot be made: {describe(error)}") from error


def _checked(name: str, kind: type[Callback], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Check settings against the arguments of the class: their names, and their types where they state one."""
    parameters = inspect.signature(kind).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for key in settings:
        if key not in known:
            raise ValueError(f"unknown key {with_hint(str(key), known, f'callbacks.{name}.')}")
    if missing := [p.name for p in parameters if p.name in known and p.default is p.empty and p.name not in settings]:
        raise ValueError(f"missing key callbacks.{name}.{missing[0]}")
    hints = type_hints(kind.__init__, f"callback {name!r}")
    from nas.config.check import checked  # here: who only prints would wait for pydantic

    return {key: checked(f"callbacks.{name}.{key}", hints.get(key, Any), value) for key, value in settings.items()}
