"""Every code block of README.md and docs/*.md; pages of docs/zh/ have the same blocks.

::

    python                   the blocks of a page run in order, as one script, in a directory of their own;
                             README's in a process of its own, too
    python title=parts.py    written there as a file, to be imported
    yaml                     an experiment: loaded and checked; with a title it is also written there
                             (space.yaml and mix.yaml are spaces)
    text printed             the script printed these lines
    bash, sh                 valid syntax; every subcommand, flag, target and file exists

A block after ``<!-- not run: reason -->`` is left alone.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from rayseg.build import check
from rayseg.cli.parser import parse
from rayseg.cli.space import read_space
from rayseg.config import ExperimentConfig, parse_assignments
from rayseg.load import load_config
from tests.examples.scripts import printed_by

pytestmark = pytest.mark.examples

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TRANSLATED = sorted((ROOT / "docs" / "zh").glob("*.md"))
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: \S[^\n]* -->\s*\Z")
#: What stands before a command: a line's beginning, ``--``, ``;``, ``|``, ``&``, a bracket or a quote; then variables.
_BEFORE = r"(?:^|-- |\$\(|[;&|({'\"] ?)\s*(?:[A-Z_]+=\S* )*(?:\.venv/bin/)?"
COMMAND = re.compile(_BEFORE + r"(rayseg|make|python)(?= |$) ?([^;|)'\n]*)", re.MULTILINE)
OWN_FILE = re.compile(r"(?<![\w./-])(?:experiments|docs|tests|rayseg|\.ci)/[\w./-]*\w")
#: A timeout is no measurement: the script of a page takes seconds.
TIMEOUT_S = 240.0


class Block(NamedTuple):
    """One fenced block; ``line`` is the number of its first line of code."""

    language: str
    info: str
    code: str
    line: int

    @property
    def title(self) -> str | None:
        found = re.search(r"title=(\S+)", self.info)
        return found[1] if found else None


def blocks(page: Path, *languages: str) -> list[Block]:
    return [block for block in _blocks(page.read_text(encoding="utf-8")) if block.language in languages]


def _blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        if not NOT_RUN.search(text[: found.start()]):
            yield Block(found[1], found[2], found[3], text[: found.start(3)].count("\n") + 1)


def script(page: Path) -> str:
    """The python blocks of a page, each at its own line, so that a traceback gives lines of the page."""
    lines = [""] * page.read_text(encoding="utf-8").count("\n")
    for block in blocks(page, "python"):
        if block.title is None:
            code = block.code.splitlines()
            lines[block.line - 1 : block.line - 1 + len(code)] = code
    return "\n".join(lines)


def write_files(page: Path, folder: Path) -> None:
    for block in blocks(page, "python", "yaml"):
        if block.title is not None:
            (folder / block.title).write_text(block.code, encoding="utf-8")


def run_script(page: Path, folder: Path) -> str:
    """What it prints; README's as a person starts it, the others' in this process."""
    path = folder / f"{page.stem}_page.py"
    path.write_text(script(page), encoding="utf-8")
    cache = {"RAYSEG_CACHE": str(folder / "cache")}
    if page.name != "README.md":
        return printed_by(path, cwd=folder, **cache)
    own = {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(ROOT), **cache}
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_ADDRESS"))} | own
    command = [sys.executable, str(path)]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def pages_with(*languages: str) -> list[Any]:
    return [pytest.param(page, id=page.name) for page in PAGES if blocks(page, *languages)]


@pytest.mark.parametrize("page", pages_with("python", "yaml"))
def test_the_examples_of_a_page_run_and_print_what_they_say(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    write_files(page, tmp_path)
    if "rayseg.sweep(" in script(page):
        request.getfixturevalue("ray_cluster")
    if script(page).strip():
        printed = run_script(page, tmp_path)
        for block in blocks(page, "text"):
            if "printed" in block.info:
                missing = [line for line in block.code.splitlines() if line not in printed]
                assert not missing, f"{page.name}:{block.line} was not printed: {missing}\n{printed}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RAYSEG_CACHE", str(tmp_path / "cache"))
    for block in blocks(page, "yaml"):
        check_experiment(page, block)
    for block in blocks(page, "python"):
        if block.title is not None:
            monkeypatch.delitem(sys.modules, Path(block.title).stem, raising=False)


def check_experiment(page: Path, block: Block) -> None:
    tree = yaml.safe_load(block.code)
    where = f"{page.name}:{block.line}"
    if "cluster_name" in tree:  # Ray's file, not ours: tests/test_cluster.py
        return
    if block.title in {"space.yaml", "mix.yaml"}:
        assert read_space(block.title).keys() == tree.keys(), where
        return
    problems = check(ExperimentConfig.from_dict(tree, where=where))
    assert not problems, f"{where}: {[str(problem) for problem in problems]}"


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """``rayseg``, ``make`` and ``python`` with their words, wherever they stand in a block."""
    for found in COMMAND.finditer(block.code.replace("\\\n", " ")):
        yield found[1], shlex.split(found[2], comments=True)


@pytest.mark.parametrize("page", pages_with("bash", "sh"))
def test_the_commands_of_a_page_exist(page: Path) -> None:
    for block in blocks(page, "bash", "sh"):
        where = f"{page.name}:{block.line}"
        syntax = subprocess.run(["bash", "-n"], input=block.code, capture_output=True, text=True, check=False)
        assert syntax.returncode == 0, f"{where}: {syntax.stderr}"
        absent = [path for path in OWN_FILE.findall(block.code) if not (ROOT / path).exists()]
        assert not absent, f"{where}: no {absent}"
        for program, words in commands(block):
            assert known(program, words), f"{where}: {program} {' '.join(words)}"


def known(program: str, words: list[str]) -> bool:
    """Whether a program takes these words."""
    if program == "make":
        targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        return all(word in targets for word in words if "=" not in word)
    if program == "rayseg":
        return parses(words)
    script, *rest = words
    if script.startswith("-"):
        return True
    source = (ROOT / script).read_text(encoding="utf-8")
    beside = [
        path for path in (ROOT / script).parent.glob("*.py") if re.search(rf"^from {path.stem} import", source, re.MULTILINE)
    ]
    source += "".join(path.read_text(encoding="utf-8") for path in beside)
    return all(f'"{word.split("=")[0]}"' in source for word in rest if word.startswith("--"))


def parses(words: list[str]) -> bool:
    try:
        arguments = parse(words)
    except SystemExit as stopped:
        return stopped.code == 0
    changes = parse_assignments(getattr(arguments, "overrides", []))
    if hasattr(arguments, "config"):
        load_config(ROOT / arguments.config, changes)
    return True


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in TRANSLATED])
def test_a_translated_page_has_the_blocks_of_the_page_itself(page: Path) -> None:
    original = ROOT / "docs" / page.name
    mine, theirs = _code(page), _code(original)
    assert theirs
    assert mine == theirs, f"docs/zh/{page.name}: code blocks differ from docs/{page.name}"
    assert _headings(page) == _headings(original), f"docs/zh/{page.name}: other headings than docs/{page.name}"


def _code(page: Path) -> list[tuple[str, str]]:
    """Language and code of every block, without comments: they are translated too."""
    return [(block.language, re.sub(r"\s*#.*", "", block.code)) for block in _blocks(page.read_text(encoding="utf-8"))]


def _headings(page: Path) -> list[int]:
    """Levels of the headings, in order."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [len(level) for level in re.findall(r"^(#+) ", text, re.MULTILINE)]


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES + TRANSLATED])
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]
    assert not [target for target in targets if not _leads_somewhere(page, *target.partition("#")[::2])], page.name


def _leads_somewhere(page: Path, file: str, anchor: str) -> bool:
    there = page.parent / file if file else page
    if not there.exists() or not anchor:
        return there.exists()
    titles = re.findall(r"^#+ (.+)$", FENCE.sub("", there.read_text(encoding="utf-8")), re.MULTILINE)
    return anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_file_map_has_a_line_for_every_module() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    packages = [path for path in (ROOT / "rayseg").iterdir() if path.name not in {"__pycache__", "py.typed", "__init__.py"}]
    names = [f"{path.name}/" if path.is_dir() else path.name for path in packages]
    absent = [name for name in names if not re.search(rf"^\s+{re.escape(name)}\s", text, re.MULTILINE)]
    assert not absent, f"README.md: no line for {absent}"
