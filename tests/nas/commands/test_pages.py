"""An error names the page of the documentation that helps, and that page is there."""

from pathlib import Path

import pytest

from nas.cli import main
from nas.commands.pages import PAGES

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("page", sorted(set(PAGES.values()) - {""}))
def test_pages_are_there(page):
    """In the repository, of which the site is built."""
    assert (ROOT / "docs" / f"{page}.md").is_file()


@pytest.mark.parametrize("part", sorted(PAGES))
def test_parts_are_there(part):
    """A part that was renamed would never be met."""
    path = ROOT.joinpath(*part.split("."))
    assert path.is_dir() or path.with_suffix(".py").is_file()


CONFIG = "image_size: 16\nspace: {name: small}\n"


@pytest.mark.parametrize(
    ("line", "config", "page"),
    [
        ("search c.yaml --dry-run", CONFIG + "sarch: {trials: 3}\n", "reference/settings"),
        ("search c.yaml --dry-run", CONFIG + "plugins: [no_such_package]\n", "guides/plugins"),
        ("search c.yaml --dry-run", CONFIG + "callbacks: [mflow]\n", "callbacks"),
        ("search c.yaml --dry-run", CONFIG.replace("small", "smal"), "guides/space"),
        ("search digits.yml", "", "reference/settings"),
        ("search diggits", "", "start"),
        ("data prepare c.yaml", CONFIG + "data: {source: folder, path: nowhere}\n", "data"),
        ("init nowhere", "", "guides/images"),
        ("scale efficientnetv9_s --to m", "", "faq"),
        ("export efficientnetv2_b0 --to onx", "", "guides/export"),
    ],
)
def test_errors_name_their_page(tmp_path, monkeypatch, capsys, line, config, page):
    """On the same one line, in words that hold for the repository and for the site."""
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(config)
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith(f"(docs: {page})\n"), said
