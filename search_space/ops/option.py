"""Hyperparameters that an op has for itself: what each may be, and the frozen mapping that a stage carries."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

Value = bool | int | float | str


class Options(dict[str, Any]):
    """A mapping in the order of its names that cannot be changed, and so can be hashed; JSON takes it for a dict."""

    def __init__(self, given: Mapping[str, Any] | Iterable[tuple[str, Any]] = ()) -> None:
        super().__init__(sorted(dict(given).items()))

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self.items())) if self else 0

    def __reduce__(self) -> tuple[type[Options], tuple[dict[str, Any]]]:
        return Options, (dict(self),)

    def _frozen(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("options cannot be changed; make a new stage with dataclasses.replace")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _frozen


NO_OPTIONS = Options()


@dataclass(frozen=True)
class Option:
    """One hyperparameter. What has the default leaves no trace in an architecture's JSON: a default never changes.

    Args:
        default: what holds where nothing is said; its type is the option's: bool, int, float or str.
        least, most: bounds of a number, inclusive.
        among: the only values there are; a str needs them, made of letters, digits, `_` and `.`.
    Raises: ValueError if the default is not allowed, or a str has no `among`.
    """

    default: Value
    least: float = -math.inf
    most: float = math.inf
    among: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.default, str) and not self.among:
            raise ValueError(f"an option of text needs `among`, its default is {self.default!r}")
        if not all(re.fullmatch(r"[\w.]+", value, re.ASCII) for value in self.among if isinstance(value, str)):
            raise ValueError(f"an option's texts are made of letters, digits, _ and ., got {list(self.among)}")
        object.__setattr__(self, "default", self.read("option default", self.default))

    @property
    def allowed(self) -> str:
        """What a value must be, in words."""
        if self.among:
            return f"one of {', '.join(map(str, self.among))}"
        if isinstance(self.default, bool):
            return "true or false"
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        low, high = math.isfinite(self.least), math.isfinite(self.most)
        if low and high:
            return f"{kind} in [{self.least:g}, {self.most:g}]"
        return f"{kind} >= {self.least:g}" if low else f"{kind} <= {self.most:g}" if high else kind

    def read(self, owner: str, value: Any) -> Value:
        """Give the value in the option's own type. Raises ValueError naming `owner`, the value and what is allowed."""
        read = self._typed(value)
        if read is None or (self.among and read not in self.among):
            raise ValueError(f"{owner} must be {self.allowed}, got {value!r}")
        return read

    def _typed(self, value: Any) -> Value | None:
        if isinstance(self.default, str):
            return str(value) if isinstance(value, str) else None
        if isinstance(self.default, bool) or isinstance(value, bool):
            return value if isinstance(self.default, bool) and isinstance(value, bool) else None
        if isinstance(self.default, int):
            try:
                number: float = operator.index(value)
            except TypeError:
                return None
        elif isinstance(value, int | float) and math.isfinite(value):
            number = float(value) + 0.0  # -0.0 is 0.0, and must not make a second JSON
        else:
            return None
        return number if self.least <= number <= self.most else None

    def to_text(self, value: Value) -> str:
        """Write a value for a block string, whose parts `_` separates."""
        if isinstance(value, str):
            return value.replace("_", "-")
        return str(value).lower() if isinstance(value, bool) else f"{Decimal(repr(value)):f}"  # never an exponent

    def from_text(self, owner: str, text: str) -> Value:
        """Read what `to_text` wrote. Raises ValueError naming `owner`."""
        if isinstance(self.default, str):
            return self.read(owner, text.replace("-", "_"))
        if isinstance(self.default, bool):
            return self.read(owner, {"true": True, "false": False}.get(text, text))
        try:
            return self.read(owner, type(self.default)(text))
        except ValueError:
            raise ValueError(f"{owner} must be {self.allowed}, got {text!r}") from None
