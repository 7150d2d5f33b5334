"""`nas completion`: a script by which a shell completes commands, options and names. Alone imports shtab."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from nas.commands.arguments import command

SHELLS = ("bash", "zsh")
# By what help calls an argument: names that are known beside files, or files alone.
_NAMED = {"CONFIG": "configs", "RECIPE": "configs", "ARCH": "architectures", "CHECKPOINT": "architectures"}
_FILES = ("RUN", "DIR", "FILE", "PATH")


def add(commands: Any) -> None:
    """Declare the arguments of `nas completion`."""
    sub = command(commands, "completion", "print what lets a shell complete `nas` commands", run)
    sub.add_argument(
        "shell",
        choices=SHELLS,
        help='bash: `eval "$(nas completion bash)"` in ~/.bashrc; zsh: as bash, in ~/.zshrc, below compinit',
    )


def run(a: argparse.Namespace) -> int:
    """Print the script for a shell. Raises ValueError if shtab is not installed."""
    try:
        import shtab
    except ImportError:
        raise ValueError("completion needs shtab: pip install 'training-aware-nas[completion]'") from None
    parser = import_module("nas.cli").parser()  # by name: the list of commands stands above each of them
    for action in _arguments(parser):
        name = str(action.metavar)
        kind = _NAMED.get(name) or ("files" if name in _FILES else None)
        if kind is not None:
            action.complete = dict.fromkeys(SHELLS, f"_nas_{kind}")  # type: ignore[attr-defined]  # shtab's
    print(shtab.complete(parser, shell=a.shell, preamble={"bash": _preamble(_BASH), "zsh": _preamble(_ZSH)}))
    return 0


def _arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every argument of every command; of the commands' own, whose names are choices, none."""
    for action in parser._actions:
        if isinstance(action.choices, dict):
            for sub in {id(each): each for each in action.choices.values()}.values():
                yield from _arguments(sub)
        elif not action.choices:
            yield action


def _preamble(template: str) -> str:
    from nas.config.examples import example_configs
    from search_space.families import PUBLISHED

    names = {"configs": example_configs(), "architectures": PUBLISHED, "files": ()}
    return "".join(template.format(kind=kind, words=" ".join(known)) for kind, known in names.items())


_BASH = """
_nas_{kind}() {{
  compgen -W "{words}" -- "$1"
  compgen -f -- "$1"
}}
"""
_ZSH = """
_nas_{kind}() {{
  local known=({words})
  compadd -a known
  _files
}}
"""
