"""The notebooks as pages: their text, their code, and what they were committed to show."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
NAMES = ("search", "analysis", "family")


def page(name: str) -> str:
    """Give a notebook as Markdown."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _cell(cell)) + "\n"


PAGES = {f"notebook_{name}.md": partial(page, name) for name in NAMES}


def _cell(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    data = output.get("data", {"text/plain": output.get("text", "")})
    if picture := data.get("image/png"):
        source = f"data:image/png;base64,{picture.strip()}"
        yield f'```{{raw}} html\n<img class="output" alt="what the code above draws" src="{source}">\n```'
    elif table := data.get("text/html"):
        yield f'```{{raw}} html\n<div class="output">\n{"".join(table)}\n</div>\n```'
    else:
        yield f"```text\n{''.join(data.get('text/plain', '')).rstrip()}\n```"
