"""The folders depend on each other in one direction only, and each heavy package has one door."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("search_space", "rewards", "scaling", "nas", "experiments")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAY_IMPORT = {
    "search_space": {"search_space"},
    "rewards": {"rewards", "search_space"},
    "scaling": {"scaling", "rewards", "search_space"},
    "nas": {"nas", "rewards", "search_space"},
    "experiments": {"experiments", "nas", "scaling", "rewards", "search_space"},
}
# Outside package -> the only places of the product that import it.
DOORS = {
    "ray": ("nas/cluster/",),
    "pandas": ("nas/analysis/",),
    "pyarrow": ("nas/runs/encoding.py", "nas/runs/arrow.py", "nas/runs/index.py", "nas/analysis/table.py"),
    "yaml": ("search_space/yaml_text.py",),
    "fvcore": ("search_space/layer_table.py",),
    "datasets": ("nas/data/sources/tables.py",),
    "optuna": ("nas/algorithms/tpe.py", "nas/export/optuna.py"),
    "onnx": ("nas/export/onnx.py",),
    "onnxruntime": ("nas/export/onnx.py",),
    "matplotlib": ("nas/analysis/plots.py",),
    "pydantic": ("nas/config/",),
    "tensorboardX": ("nas/trackers/tensorboard.py",),
    "mlflow": ("nas/trackers/mlflow.py",),
    "wandb": ("nas/trackers/wandb.py",),
    "IPython": ("nas/trackers/notebook.py",),
    "safetensors": ("nas/export/hub.py",),
    "shtab": ("nas/commands/completion.py",),
}
WITHOUT_TORCH = ("rewards", "scaling", "nas/algorithms")
# Where words are parsed and shown. Below, results are returned and progress is told to whoever asks for it.
WORDS = (
    "nas/cli.py",
    "nas/__main__.py",
    "nas/commands/",
    "nas/trackers/",
    "nas/data/progress.py",  # its bar is of the inmost loop of `prepare`; only for who asks, only on a terminal
)


def imports(path: Path) -> set[str]:
    """Modules that a file imports anywhere, also inside functions, but not those for the type checker alone."""
    found = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(path): path for path in FILES}


def our_imports(path: Path) -> set[str]:
    """Modules of ours that a file imports, also inside functions and for the type checker alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {node.module}
    return (found & MODULES.keys()) - {module_of(path)}


def on_rings(arrows: dict[str, set[str]]) -> set[str]:
    """What is left of a graph when all that depends on nothing left is taken away, and all that nothing depends on."""
    left = {node: set(targets) for node, targets in arrows.items()}
    while True:
        ends = {node for node, targets in left.items() if not targets & left.keys()}
        ends |= left.keys() - set().union(*left.values())
        if not ends:
            return set(left)
        left = {node: targets for node, targets in left.items() if node not in ends}
        if not left:
            return set()


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_arrows_point_down(path):
    """A change in a lower folder never breaks because of a higher one: nothing imports upwards or sideways."""
    name = relative(path)
    package = name.split("/")[0]
    ours = {module.split(".")[0] for module in imports(path)} & set(PACKAGES)
    grows = name.startswith(("nas/cli.py", "nas/commands/", "nas/families/"))
    allowed = MAY_IMPORT[package] | ({"scaling"} if grows else set())
    assert ours <= allowed, f"{name} imports {ours - allowed}"


def test_no_file_depends_on_itself_by_way_of_others():
    """A file can be understood, and changed, before those that import it: nowhere do imports go round in a ring."""
    assert not on_rings({module: our_imports(path) for module, path in MODULES.items()})


def test_no_room_of_nas_depends_on_itself_by_way_of_others():
    """The folders of nas/ are layers, too: config, runs, trials, cluster, search, commands; each knows those below."""
    arrows: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        rooms = [".".join(each.split(".")[:2]) for each in (module, *our_imports(path)) if each.startswith("nas.")]
        if module.startswith("nas."):
            arrows.setdefault(rooms[0], set()).update(set(rooms[1:]) - {rooms[0]})
    assert not on_rings(arrows)


def test_a_ring_is_found():
    """The two tests above can fail."""
    assert on_rings({"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"a"}}) == {"b", "c"}
    assert not on_rings({"a": {"b"}, "b": {"c"}, "c": set()})


@pytest.mark.parametrize("package", DOORS)
def test_each_heavy_package_has_one_door(package):
    """Replacing ray, pandas or another outside package means changing one place."""
    users = {
        relative(path)
        for path in FILES
        if not relative(path).startswith("experiments/")
        and package in {module.split(".")[0] for module in imports(path)}
    }
    assert all(user.startswith(DOORS[package]) for user in users), users


@pytest.mark.parametrize("folder", WITHOUT_TORCH)
def test_scores_scaling_and_algorithms_need_no_torch(folder):
    """They start at once and run anywhere."""
    for path in (ROOT / folder).rglob("*.py"):
        assert not {module.split(".")[0] for module in imports(path)} & {"torch", "ray"}, relative(path)


@pytest.mark.parametrize(
    "path", [path for path in FILES if not relative(path).startswith("experiments/")], ids=relative
)
def test_only_commands_and_trackers_speak(path):
    """Whatever a command does can be called from Python: below the commands nothing prints, parses or exits."""
    if relative(path).startswith(WORDS):
        return
    modules = {part for module in imports(path) for part in (module.split(".")[0], ".".join(module.split(".")[:2]))}
    assert not modules & {"argparse", "rich", "nas.commands", "nas.cli"}
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert not called & {"print", "console", "exit", "sys.exit", "input"}
