"""The house: imports go one way, and some names stand in one place only."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(str(files("dreamenv")))
TREES = {path: ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
PLOTS = [ROOT / "evaluate" / "plots.py", ROOT / "foundation" / "figures.py"]  # the former for annotations
NAMES_TASKS = (ROOT / "worlds", ROOT / "real" / "libraries.py")
NAME_NO_TASK = [path for path in TREES if not any(path.is_relative_to(place) for place in NAMES_TASKS)]
INNER_INITS = [path for path in TREES if path.name == "__init__.py" and path.parent != ROOT]
TASKS = ("sidewalk", "miniworld", "takecover", "doom")
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "torch.save", "np.load", "numpy.load"}


def module_name(path: Path) -> str:
    parts = ("dreamenv", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


MODULES = {module_name(path): path for path in TREES}


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def runs_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes outside of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from runs_on_import(child)


def imported(name: str, nodes: Iterator[ast.AST]) -> set[str]:
    """Dotted names of everything that module ``name`` imports in ``nodes``."""
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            members = {f"{source}.{alias.name}" for alias in node.names}
            found |= members & set(MODULES) if members <= set(MODULES) else {source} | members & set(MODULES)
    return found


def imports(path: Path) -> set[str]:
    return imported(module_name(path), ast.walk(TREES[path]))


GRAPH = {name: imported(name, runs_on_import(TREES[path])) & set(MODULES) - {name} for name, path in MODULES.items()}


def check_one_way(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("imports go in a circle: " + " -> ".join(error.args[1]))


def room(name: str) -> str:
    """The package or file directly under dreamenv that a module belongs to."""
    return ".".join(name.split(".")[:2])


def docstrings(tree: ast.Module) -> set[ast.AST]:
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    bodies = [node.body for node in ast.walk(tree) if isinstance(node, owners) and node.body]
    return {body[0].value for body in bodies if isinstance(body[0], ast.Expr)}


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every name and string in the code of a file, docstrings and comments left out."""
    tree = TREES[path]
    skipped = docstrings(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            if isinstance(node.value, str) and node not in skipped:
                yield node.lineno, node.value
            continue
        for field in ("id", "attr", "name", "asname", "arg", "module"):
            if isinstance(word := getattr(node, field, None), str):
                yield getattr(node, "lineno", 0), word


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_the_package_was_found():
    assert {"dreamenv", "dreamenv.world", "dreamenv.models.latent", "dreamenv.envs.dream"} <= set(MODULES)
    assert "dreamenv.models.latent" in GRAPH["dreamenv.models.mdnrnn.memory"]


def test_modules_import_one_way():
    check_one_way(GRAPH)


def test_packages_import_one_way():
    rooms: dict[str, set[str]] = {}
    for name, targets in GRAPH.items():
        rooms.setdefault(room(name), set()).update(room(target) for target in targets)
    del rooms["dreamenv"]

    check_one_way({name: targets - {name, "dreamenv"} for name, targets in rooms.items()})


def test_a_circle_would_be_found():
    with pytest.raises(pytest.fail.Exception, match="circle"):
        check_one_way(GRAPH | {"dreamenv.models.latent": {"dreamenv.world"}})


@pytest.mark.parametrize("name", [name for name in GRAPH if name not in ("dreamenv", "dreamenv.cli.run")])
def test_only_the_command_line_imports_the_whole_package(name):
    assert "dreamenv" not in GRAPH[name]


@pytest.mark.parametrize("path", [ROOT / "__init__.py", *INNER_INITS], ids=short)
def test_package_files_only_re_export_or_register(path):
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign, ast.AnnAssign)
    statements = TREES[path].body
    if path == ROOT / "__init__.py":  # public names are imported on first use (PEP 562), and declared for type checkers
        functions = [node for node in statements if isinstance(node, ast.FunctionDef)]
        blocks = [node for node in statements if isinstance(node, ast.If)]
        assert {node.name for node in functions} == {"__getattr__", "__dir__"}
        assert [ast.unparse(block.test) for block in blocks] == ["TYPE_CHECKING"]
        assert all(isinstance(node, ast.ImportFrom) for block in blocks for node in block.body)
        statements = [node for node in statements if node not in (*functions, *blocks)]

    for statement in statements:
        assert isinstance(statement, allowed), f"{short(path)}:{statement.lineno}"
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
            assert dotted(statement.value.func).endswith("register"), f"{short(path)}:{statement.lineno}"


@pytest.mark.parametrize("path", INNER_INITS, ids=short)
def test_inner_package_files_import_nothing_of_the_package_but_their_own(path):
    own = module_name(path)
    foreign = {name for name in imports(path) if name.startswith("dreamenv") and not name.startswith(own + ".")}

    assert foreign == set()


@pytest.mark.parametrize("path", NAME_NO_TASK, ids=short)
def test_no_task_is_named_in_code(path):
    named = [f"{short(path)}:{line}: {word!r}" for line, word in words(path) if any(t in word.lower() for t in TASKS)]

    assert named == []


def test_real_environments_name_tasks_in_their_table_only():
    path = ROOT / "real" / "libraries.py"
    tables = [node for node in TREES[path].body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)]
    lines = {line for table in tables for line in range(table.lineno, table.end_lineno + 1)}
    named = {line for line, word in words(path) if any(task in word.lower() for task in TASKS)}

    assert named and named <= lines


def test_matplotlib_is_imported_for_plots_only():
    importers = [path for path in TREES if any(name.split(".")[0] == "matplotlib" for name in imports(path))]

    assert importers == PLOTS


@pytest.mark.parametrize("path", TREES, ids=short)
def test_nothing_unpickles_or_evaluates(path):
    calls = {dotted(node.func) for node in ast.walk(TREES[path]) if isinstance(node, ast.Call)}
    attributes = {dotted(node) for node in ast.walk(TREES[path]) if isinstance(node, ast.Attribute)}

    assert not {name.split(".")[0] for name in imports(path)} & UNSAFE_MODULES
    assert not (calls | attributes) & UNSAFE_CALLS


@pytest.mark.parametrize("path", TREES, ids=short)
def test_no_module_imports_everything_of_another(path):
    stars = [n.lineno for n in ast.walk(TREES[path]) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"]

    assert stars == []
