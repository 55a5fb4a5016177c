"""The README, the pages in docs and the examples say what is true.

Python blocks run, page by page, in a folder of their own. Two marks exist: a fence ``python no-run`` is compiled only,
and a comment ``<!-- test: 50_000 -> 256; num_envs=64 -> num_envs=4 -->`` above a block replaces text to make it quick.
Commands of shell blocks, and of benchmarks and experiments in running text, are read by their own parsers.
"""

import ast
import importlib
import pkgutil
import re
import shlex
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import pytest
import tyro

import dreamenv
import dreamenv.foundation.errors
from dreamenv.cli import run as cli
from dreamenv.foundation.seeds import SEED_RANGES
from experiments.__main__ import STUDIES, parse

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
REPLACEMENTS = re.compile(r"<!-- test: (.*) -->\n\Z")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
BENCHMARK = re.compile(r"`(python -m\s+(?:benchmarks\.|experiments )[^`]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def short(path):
    return str(path.relative_to(ROOT))


def blocks(text: str, language: str) -> Iterator[tuple[str, str]]:
    """Marks and content of the fenced blocks of a language, with the replacements of the comment above them."""
    for fence in FENCE.finditer(text):
        name, _, mark = fence["info"].partition(" ")
        if name == language:
            body = fence["body"]
            for pair in (REPLACEMENTS.search(text[: fence.start()]) or ["", ""])[1].split("; "):
                old, _, new = pair.partition(" -> ")
                assert old in body, f"{old!r} is not in the block below the comment"
                body = body.replace(old, new) if old else body
            yield mark, body


def prose(path: Path) -> str:
    """A page without its fenced blocks."""
    return FENCE.sub("", path.read_text())


def anchors(path: Path) -> set[str]:
    """What headings can be linked as, by GitHub's rule."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(prose(path))}


def first_cells(path: Path, heading: str = "") -> list[str]:
    """Code in the first column of a page's tables, from a heading to the next."""
    section = prose(path).partition(f"\n## {heading}\n")[2].partition("\n## ")[0] if heading else prose(path)
    return re.findall(r"^\| `([^`]+)` +\|", section, re.MULTILINE)


def with_constants(source: str, constants: dict[str, object], separator: str = " = ") -> str:
    """A program with other values for the constants at its top."""
    for name, value in constants.items():
        source, count = re.subn(rf"(?m)^{name}{separator}.*$", f"{name}{separator}{value}", source)
        assert count == 1, f"expected one assignment to {name}, found {count}"
    return source


def run_python(source: str, name: str, namespace: dict) -> None:
    exec(compile(source, name, "exec"), namespace)


def commands(script: str) -> Iterator[list[str]]:
    """Words of every command of a shell script; variables are filled in, settings of the shell left out."""
    variables: dict[str, str] = {}
    for line in script.replace("\\\n", " ").splitlines():
        words = [re.sub(r"\$(\w+)", lambda found: variables[found[1]], w) for w in shlex.split(line, comments=True)]
        words = words[1:] if words[:1] == ["export"] else words
        while words and re.fullmatch(r"\w+=.*", words[0]):
            name, _, variables[name] = words.pop(0).partition("=")
        if words and words[0] != "set":
            yield words


@pytest.fixture
def dry_commands(monkeypatch):
    """The command line, with commands that parse their arguments and do nothing."""
    for name in cli.COMMANDS:
        monkeypatch.setattr(cli.load_command(name), "run", lambda self: None)


def check_command(words: list[str]) -> None:
    program, *arguments = words
    if program == "dreamenv":
        assert cli.main(arguments) == 0, words
    elif program == "source":
        assert arguments == [".venv/bin/activate"], words
    elif program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(arguments) <= set(targets), words
    elif program == "python" and arguments[0] == "-m":
        check_module(*arguments[1:])
    elif program in ("python", "bash"):
        assert (ROOT / arguments[0]).is_file(), words
    else:
        assert (Path(sys.executable).parent / Path(program).name).is_file(), f"{words}: unknown program"


def check_module(name: str, *arguments: str) -> None:
    """Reads the options as the module does; without any it is enough that the module is there."""
    if name == "experiments":
        study, *arguments = arguments
        assert study in STUDIES, study
        if arguments:
            parse(study, *arguments)
        return
    main = importlib.import_module(name).main
    if arguments:
        (settings,) = (kind for part, kind in typing.get_type_hints(main).items() if part != "return")
        tyro.cli(settings, args=arguments)


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": short(path)}

    for index, (mark, source) in enumerate(blocks(path.read_text(), "python")):
        name = f"{short(path)}[{index}]"
        if mark == "no-run":
            compile(source, name, "exec")
        else:
            assert not mark, f"{name}: unknown mark {mark!r}"
            run_python(source, name, namespace)


def test_a_wrong_block_would_be_found():
    text = "<!-- test: 1 -> 0 -->\n```python\nx = 1 / 1\n```\n"
    ((mark, source),) = blocks(text, "python")

    with pytest.raises(ZeroDivisionError):
        run_python(source, "block", {})
    with pytest.raises(AssertionError, match="not in the block"):
        list(blocks(text.replace("1 ->", "7 ->"), "python"))


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_commands_exist(path, dry_commands):
    for _, script in blocks(path.read_text(), "sh"):
        for words in commands(script):
            check_command(words)
    for command in BENCHMARK.findall(prose(path)):
        check_command(shlex.split(command))


WRONG = [
    "dreamenv compose",
    "dreamenv evolve --world x --heat 1",
    "make nothing",
    "python -m experiments takecover.births --episodes x --world y",
    "python -m experiments takecover.deaths",
    "source elsewhere",
    "foo",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_command_would_be_found(wrong, dry_commands):
    with pytest.raises((SystemExit, AssertionError)):
        check_command(wrong.split())


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_fences_are_of_a_known_kind(path):
    kinds = {fence["info"] for fence in FENCE.finditer(path.read_text())}

    assert kinds <= {"", "sh", "python", "python no-run"}


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_links_lead_somewhere(path):
    for link in LINK.findall(prose(path)):
        name, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{short(path)}: {link}"
        assert not anchor or anchor in anchors(target), f"{short(path)}: {link}"


def test_the_readme_keeps_its_order():
    text = (ROOT / "README.md").read_text()
    headings = HEADING.findall(prose(ROOT / "README.md"))

    assert headings == [
        "dreamenv", "Two commands", "Ten lines", "Bring your own environment", "How it works", "Results", "Limits"
    ]  # fmt: skip
    assert text.index("film.gif") < text.index("## Two commands")
    assert text.index("## How it works") < text.index("how_it_works.svg") < text.index("## Results")
    assert re.search(r"## Results\n.*^<!-- results:begin -->\n.*^<!-- results:end -->\n.*## Limits", text, re.M | re.S)


def test_the_readme_example_has_ten_lines():
    _, source = next(blocks((ROOT / "README.md").read_text(), "python"))

    assert len([line for line in source.splitlines() if line]) <= 10


def test_api_lists_the_public_names():
    names = first_cells(ROOT / "docs" / "api.md")
    in_modules = [name for name in names if "." in name]

    assert sorted(set(names) - set(in_modules)) == sorted(dreamenv.__all__)
    assert len(set(names)) == len(names)
    assert all(pkgutil.resolve_name(name) for name in in_modules)
    assert {f"{module}.{name}" for name, module in dreamenv._DEPRECATED.items()} <= set(in_modules)


def test_environments_lists_the_registered_ids():
    listed = first_cells(ROOT / "docs" / "environments.md", "Ids")
    registered = [spec.id for spec in gym.registry.values() if str(spec.entry_point).startswith("dreamenv.")]

    assert sorted(listed) == sorted(f"dreamenv:{name}" for name in registered)


def test_environments_lists_the_errors():
    listed = first_cells(ROOT / "docs" / "environments.md", "Errors")
    errors = {kind.__name__ for kind in vars(dreamenv.foundation.errors).values() if isinstance(kind, type)}

    assert errors - {"DreamenvError", "Any"} <= set(listed)


def test_concepts_show_the_seed_ranges_of_the_code():
    section = prose(ROOT / "docs" / "concepts.md").partition("\n## Seeds\n")[2].partition("\n## ")[0]
    listed = re.findall(r"^\| ([\d,]+) to ([\d,]+) \| (.+) \|$", section, re.MULTILINE)

    assert listed == [(f"{one.first:,}", f"{one.last:,}", one.use) for one in SEED_RANGES]


def test_design_lists_every_file_below_what_it_imports():
    package = ROOT / "dreamenv"
    rows = [cell for cell in first_cells(ROOT / "docs" / "design.md", "The house") if cell.endswith(".py")]
    assert sorted(rows) == sorted(str(path.relative_to(package)) for path in package.rglob("*.py"))

    place = {f"dreamenv/{row}".removesuffix(".py").removesuffix("/__init__").replace("/", "."): row for row in rows}
    for module, row in place.items():
        nodes = ast.walk(ast.parse((package / row).read_text()))
        froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module in place]
        for node in froms:
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            for target in (member if member in place else node.module for member in members):
                if target != "dreamenv":
                    assert rows.index(place[target]) < rows.index(row), f"{module} imports {target} from below"


EXAMPLES = {
    "dream_sidewalk.py": {"TEMPERATURES": (1.0,), "EPISODES": 1},
    "ppo_in_dream.py": {"TIMESTEPS": 256, "EPISODES": 1},
    "a2c_batched.py": {"TIMESTEPS": 512, "NUM_ENVS": 16, "EPISODES": 2},
    "dqn_batched.py": {"TIMESTEPS": 500, "NUM_ENVS": 4, "LEARNING_STARTS": 100, "EPISODES": 1},
    "recurrent_ppo_batched.py": {"TIMESTEPS": 512, "NUM_ENVS": 8, "EPISODES": 1},
    "own_environment.py": {"FRAMES": 500, "VISION_STEPS": 10, "MEMORY_STEPS": 10, "GENERATIONS": 2, "EPISODES": 4},
}
MODULES = {"corridor.py", "own_agent.py", "own_world_model.py"}  # imported by an example, and by tests/contracts


def test_every_example_is_tested():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == {*EXAMPLES, *MODULES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_run(name, tmp_path, monkeypatch):
    path = ROOT / "examples" / name
    source = path.read_text()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(path.parent))

    assert len(source.splitlines()) < 40
    run_python(with_constants(source, EXAMPLES[name]), str(path), {"__name__": "__main__"})


def test_the_shell_example_runs(tmp_path, monkeypatch, capsys):
    script = (ROOT / "examples" / "hallway.sh").read_text()
    quick = {"FRAMES": 2500, "VISION_STEPS": 2, "MEMORY_STEPS": 2, "TIMESTEPS": 64, "EPISODES": 1}
    small = {
        "collect": ["--shard-episodes", "10"],
        "ppo": ["--num-envs", "4", "--n-steps", "16", "--batch-size", "64"],
    }
    monkeypatch.chdir(tmp_path)

    for _, command, *arguments in commands(with_constants(script, quick, "=")):
        code = cli.main([command, *arguments, *small.get(command, [])])
        assert code == 0, f"{command} returned {code}: {capsys.readouterr().err[-500:]}"
    assert (tmp_path / "runs" / "hallway" / "compare" / "ppo" / "film.gif").is_file()
