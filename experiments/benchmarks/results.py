"""Write what a benchmark measured: the figures as JSON, the table beside them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def write(folder: Path, benchmark: str, record: dict[str, Any], text: str) -> None:
    """Write DATE-BENCHMARK-DEVICE.json and .md.

    Args:
        record: what was measured; `date` (ISO 8601) and `device` are in it.
        text: the same as markdown.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", record["device"].lower()).strip("-")
    path = folder / f"{record['date'][:10]}-{benchmark}-{slug}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
