"""The files of search_space import each other in one direction only."""

import ast
from pathlib import Path

import search_space

FOLDER = Path(search_space.__file__).parent


def module_of(path):
    return ".".join(path.relative_to(FOLDER.parent).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(path): path for path in FOLDER.rglob("*.py")}


def imported(module):
    """The files that one imports anywhere: at the top, in functions, or for the type checker alone."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return (found & set(FILES)) - {module}


def test_no_file_imports_itself_by_way_of_others():
    """Each file can be read, tested and moved with those below it alone."""
    below = {module: imported(module) for module in FILES}
    while below:
        lowest = [module for module, others in below.items() if not others & set(below)]
        assert lowest, f"a ring among {sorted(below)}"
        below = {module: others for module, others in below.items() if module not in lowest}
