"""The wheel, installed where there is no checkout: what it holds is enough to begin."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("search_space", "rewards", "nas", "scaling")
BUILD = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel(sys.argv[1]))"


def setuptools_major():
    try:
        return int(importlib.metadata.version("setuptools").partition(".")[0])
    except importlib.metadata.PackageNotFoundError:
        return 0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with what the wheel holds, as pip installs it, and nothing else."""
    if setuptools_major() < 77:
        pytest.skip("setuptools >= 77 builds the wheel, and is not here")
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "experiments" / "configs", source / "experiments" / "configs")
    subprocess.run([sys.executable, "-c", BUILD, source], cwd=source, capture_output=True, check=True)
    (wheel,) = source.glob("*.whl")
    pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([sys.executable, *pip, "--target", site, wheel], check=True)
    return site


def nas(site, folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-m", "nas", *arguments],
        cwd=folder,
        env=environment | {"PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_configurations_go_by_name(site, tmp_path):
    """`nas search digits` says what it would do, in a folder that has nothing; the data come along, too."""
    done = nas(site, tmp_path, "search", "digits", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    assert "digits" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_it_says_its_version(site, tmp_path):
    """That of pyproject.toml, which stands nowhere else."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert nas(site, tmp_path, "--version").stdout.startswith(f"nas {version} (Python {sys.version.split()[0]}, torch ")


def test_it_holds_all_files_of_the_packages_and_no_others(site):
    """Code, types, the report's styles and scripts, configurations; no tests, no experiments."""
    kinds = (".py", ".typed", ".css", ".js", ".html", ".yaml")

    def of(root):
        found = (path.relative_to(root) for name in PACKAGES for path in (root / name).glob("**/*"))
        return {path.as_posix() for path in found if path.suffix in kinds}

    configs = ROOT / "experiments" / "configs"
    linked = {f"nas/examples/{path.relative_to(configs).as_posix()}" for path in configs.rglob("*.yaml")}
    assert of(site) == of(ROOT) | linked
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {*PACKAGES, "bin"}
