"""The shape of the code: who may import whom, how long things may be, what the base install may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "eurolm"
ROOMS = [
    "config", "artifacts", "machine", "tasks", "corpus", "tokenizer", "tokens", "mixture",
    "model", "scoring", "train", "evaluate", "cluster", "report",
]  # fmt: skip
SHARED = {"errors", "console"}
TOP = {"__main__", "cli", "pipeline", "stages", "training"}
LIGHT = {"config", "artifacts", "machine", "tasks"}
SOURCES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """First-level eurolm rooms that a file imports anywhere, lazily too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] if node.module != "eurolm" else [f"eurolm.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("eurolm.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    room, imported = room_of(path), imports_of(path)
    if room in TOP:
        assert "cli" not in imported or room in ("cli", "__main__")
        return
    allowed = SHARED | {room}
    if room in ROOMS:
        allowed |= set(ROOMS[: ROOMS.index(room)])
    if room == "train":
        allowed -= {"evaluate", "cluster"}
    assert imported <= allowed, f"{path} imports {imported - allowed}"


def test_every_room_is_known() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= {*ROOMS, "cli"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 350
    assert path.name not in ("utils.py", "helpers.py")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno + 1 <= 50, f"{path}:{node.lineno} {node.name}"


def loaded_modules(statement: str) -> set[str]:
    code = f"{statement}\nimport sys; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in answer.stdout.split()}


def test_light_rooms_and_the_command_line_load_neither_torch_nor_data_libraries() -> None:
    heavy = {"torch", "transformers", "deepspeed", "polars", "pyarrow", "numpy", "tokenizers", "dask", "matplotlib"}
    light = [path for path in SOURCES if room_of(path) in {*LIGHT, *SHARED, "cli", "pipeline", "stages"}]
    modules = [".".join(("eurolm", *path.relative_to(PACKAGE).with_suffix("").parts)) for path in light]
    statement = "import " + ", ".join(name.removesuffix(".__init__") for name in modules)
    assert not loaded_modules(statement) & heavy


def test_wheel_carries_configs_and_slurm() -> None:
    text = (PACKAGE.parents[1] / "pyproject.toml").read_text()
    for folder in ("configs", "slurm"):
        assert f'{folder} = "eurolm/{folder}"' in text
        assert any((PACKAGE.parents[1] / folder).iterdir())
