"""The documentation says what is so: blocks parse, options exist, links lead somewhere, the site builds strictly."""

import argparse
import ast
import importlib
import inspect
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import nas
from nas.cli import COMMANDS as COMMAND_FILES
from nas.cli import _parser
from nas.config.search import _KEYS, _SECTIONS, parse
from nas.config.train import parse_training
from nas.runs.columns import COLUMNS
from search_space import yaml_text
from search_space.families import published
from search_space.ops import OPS

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "experiments").rglob("README.md"))
    if "_build" not in path.parts and "_generated" not in path.parts
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.M | re.S)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def blocks(path, *languages):
    return [text for language, text in BLOCK.findall(path.read_text()) if language in languages]


def every_block(*languages):
    return [
        pytest.param(text, id=f"{name_of(path)}-{number}")
        for path in PAGES
        for number, text in enumerate(blocks(path, *languages))
    ]


def commands_of(path):
    """Lines that are commands of ours, in any block."""
    lines = [line for text in blocks(path, "", "sh", "text") for line in text.replace("\\\n", " ").splitlines()]
    return [re.split(r" [|>] ", line)[0] for line in lines if re.match(r"nas [a-z-]", line)]


COMMANDS = sorted({line for path in PAGES for line in commands_of(path)})


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_in_blocks_are_understood(line):
    """Every command that a page shows has the words and options of the real one."""
    arguments = shlex.split(line, comments=True)[1:]
    if not {"--help", "--version"} & set(arguments):  # which end the process
        assert _parser(arguments).parse_args(arguments).call


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_and_options_in_sentences_exist(path):
    """So have those within a sentence, where arguments may be left out."""
    for text in re.findall(r"`nas ([a-z][^`]*)`", re.sub(BLOCK, "", path.read_text())):
        words = text.split()
        parser = parser_of(words)
        assert parser, f"{name_of(path)}: there is no nas {text}"
        known = {option for action in parser._actions for option in action.option_strings}
        assert {word for word in words if word.startswith("--")} <= known, f"{name_of(path)}: nas {text}"


def parser_of(words, parser=None):
    """What parses `search CONFIG ...`, or `space size ...`; None if there is no such command."""
    parser = parser or _parser(())
    verbs = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not verbs or not words:
        return parser
    below = verbs[0].choices.get(words[0])
    return below and parser_of(words[1:], below)


@pytest.mark.parametrize("text", every_block("yaml"))
def test_configurations_are_read(text, tmp_path, monkeypatch):
    """Every YAML block is a configuration, or a part of one, that a search or a training takes."""
    if "grouped:GROUPED" in text:  # the op that the guide shows, in a file beside the configuration
        monkeypatch.setitem(OPS, "grouped:GROUPED", None)  # so that it is taken away again
        del OPS["grouped:GROUPED"]
        shutil.copy(ROOT / "experiments" / "plugins" / "mylab" / "grouped.py", tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
    record = yaml_text.load(text)
    record.pop("plugins", None)  # a package of the reader's
    if record.keys() <= set(_KEYS):
        assert parse({"space": {"name": "small"}, "image_size": 32} | record)
    else:
        assert parse_training({"image_size": 32} | record, published("efficientnetv2_b0"))


@pytest.mark.parametrize("text", every_block("python"))
def test_python_compiles_and_what_it_names_is_there(text):
    """Imports can be had, public calls exist and take the arguments they are given."""
    tree = ast.parse(text)
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: importlib.import_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            names |= {alias.asname or alias.name: getattr(module, alias.name) for alias in node.names}
    names.setdefault("nas", nas)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and inspect.ismodule(names.get(node.value.id))
        ):
            assert hasattr(names[node.value.id], node.attr), ast.unparse(node)
        if isinstance(node, ast.Call) and (function := called(node.func, names)):
            keywords = {each.arg for each in node.keywords if each.arg}
            inspect.signature(function).bind_partial(**dict.fromkeys(keywords))


def called(node, names):
    """The function of ours that is called, where that can be told without running anything."""
    if isinstance(node, ast.Name):
        found = names.get(node.id)
    elif (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and inspect.ismodule(names.get(node.value.id))
    ):
        found = getattr(names[node.value.id], node.attr)
    else:
        return None
    ours = str(getattr(found, "__module__", "")).split(".")[0] in ("nas", "search_space", "rewards", "scaling")
    return found if ours and callable(found) else None


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_links_and_paths_lead_somewhere(path):
    """What a page links to is in the repository, and so is every file that it names."""
    text = path.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(BLOCK, "", text)):
        if not re.match(r"[a-z]+:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), f"{name_of(path)} links to {target}"
    for named in re.findall(r"(?<![\w/.])((?:experiments|nas|search_space|tests|docs)/[\w./-]+\.[a-z]+)\b", text):
        if not re.search(r"[A-Z]{4,}\.|_build|reference_pages", named) or (ROOT / named).exists():
            assert (ROOT / named).exists() or (path.parent / named).exists(), f"{name_of(path)} names {named}"


def test_benchmarks_that_pages_name_exist():
    """`python -m experiments.benchmarks.NAME` can be run."""
    named = {each for path in PAGES for each in re.findall(r"-m experiments\.benchmarks\.(\w+)", path.read_text())}
    assert named
    assert {name for name in named if not (ROOT / "experiments" / "benchmarks" / f"{name}.py").exists()} == set()


# ---- the site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a warning is an error."""
    pytest.importorskip("myst_parser")
    pytest.importorskip("furo")
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", out / "trees", ROOT / "docs", out]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def test_the_reference_has_every_setting_column_command_and_call(site):
    """What the code has stands in the site, with an address of its own."""
    pages = {
        name: (site / "reference" / f"{name}.html").read_text() for name in ("settings", "columns", "commands", "calls")
    }
    for section, kind in _SECTIONS.items():
        for field in kind.__dataclass_fields__:
            if field != "settings":
                assert f'id="confval-{section}.{field}' in pages["settings"], f"{section}.{field}"
    for name in COLUMNS:
        assert f">{name}</span>" in pages["columns"], name
    for words in ("space size", *(word for each in COMMAND_FILES.values() for word in each)):
        assert f">nas {words} [" in pages["commands"] or not parser_of(words.split()).get_default("call"), words
    for name in nas.__all__:
        assert f'id="nas.{name}"' in pages["calls"], name


def test_nothing_of_the_site_comes_from_elsewhere(site):
    """It is read offline: no page fetches a script, a font or a picture."""
    for page in site.rglob("*.html"):
        fetched = re.findall(
            r"<(?:script|img|link rel=\"stylesheet\")[^>]+(?:src|href)=\"(https?:[^\"]+)", page.read_text()
        )
        assert fetched == [], page.name
