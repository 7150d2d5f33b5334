"""Parts of the reference that the code itself says: written when the site is built, so that they cannot go stale."""

from __future__ import annotations

from pathlib import Path

from reference_pages import calls, columns, commands, notebooks, settings

PARTS = {
    "search_settings.md": settings.search,
    "training_settings.md": settings.training,
    "columns.md": columns.columns,
    "statuses.md": columns.statuses,
    "commands.md": commands.commands,
    "calls.md": calls.calls,
    **notebooks.PAGES,
}


def write(folder: Path) -> None:
    """Write every part into a folder; what is there already, as it shall be, keeps its time."""
    folder.mkdir(exist_ok=True)
    for name, make in PARTS.items():
        text, path = make(), folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
