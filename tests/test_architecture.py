"""Imports point one way, plugs are light, each dangerous library stays behind its door. Read with plain `ast`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "studio"
FILES = sorted(PACKAGE.rglob("*.py"))
PARSED = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# Lower never imports higher, equals never import each other. A name is a module or a folder directly under `studio`.
ORDER = """
errors
plug worker files resources interchange device cards sparse words desk heat norms alarm glimpse
store archive lora preferences consent recovery
black_box
surface camera
texture environment shot marks pinhole
turning
bake shadow fields
shade shelter coverage progress film
renderers critics backdrop pose inking gain
captures
pixels rig
still view
generators exporters rewards sheet
judge replay posing looks region
turns
objective
trainers recover
config
reward_views stages ground variety
run document
project
job
materials photography
session batch doctor console options models
material_commands
gui
__main__
pretrain
"""
LEVEL = {name: level for level, line in enumerate(ORDER.split("\n")) for name in line.split()}
SOCKETS = {path.parent.name for path, tree in PARSED.items() if path.name == "__init__.py" and "'SOCKET'" in ast.dump(tree)}
# Where each of these may be imported, as the beginning of a path under `studio`; nowhere when empty.
DOORS = {
    "dearpygui": ("gui/",),
    "diffusers": ("generators/", "critics/", "pretrain/"),
    "transformers": ("generators/", "critics/", "pretrain/"),
    "peft": ("generators/", "critics/", "pretrain/"),
    "nvdiffrast": ("renderers/nvdiffrast.py", "pretrain/"),
} | dict.fromkeys(("torchvision", "lpips", "timm", "onnx2torch", "cv2"), ())


def inner(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported module's dotted name, inside functions too; `from studio import texture` gives `studio.texture`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide where they point"
            parts = [f"studio.{alias.name}" for alias in node.names]
            yield from parts if node.module == "studio" else [node.module or ""]


@pytest.mark.parametrize("path", FILES, ids=inner)
def test_imports_point_down(path: Path) -> None:
    here = inner(path).removesuffix(".py").split("/")
    if here == ["__init__"]:  # the package itself: names that are imported when they are asked for
        return
    assert here[0] in LEVEL, f"say in ORDER where {here[0]} belongs"
    for module in imports(PARSED[path]):
        there = module.split(".")[1:]
        if module.split(".")[0] != "studio" or there in ([], ["__version__"]):
            continue
        if here[0] != there[0]:
            assert LEVEL.get(there[0], 99) < LEVEL[here[0]], f"{inner(path)} imports {module}"
        elif here[0] in SOCKETS and len(there) > 1 and here[1] != "__init__":
            assert there[1].startswith("_") or there[1] == here[1], f"{inner(path)} imports its sibling {module}"


@pytest.mark.parametrize("path", FILES, ids=inner)
def test_dangerous_libraries_stay_behind_their_doors(path: Path) -> None:
    for module in imports(PARSED[path]):
        doors = DOORS.get(module.split(".")[0])
        assert doors is None or inner(path).startswith(doors), f"{inner(path)} imports {module}"
        assert module != "kiui.lpips", "it imports torchvision"


@pytest.mark.parametrize("path", [p for p in FILES if p.parent.name in SOCKETS and not p.name.startswith("_")], ids=inner)
def test_a_plug_is_light(path: Path) -> None:
    for module in imports(ast.Module([n for n in PARSED[path].body if isinstance(n, ast.Import | ast.ImportFrom)], [])):
        light = module.split(".")[0] in sys.stdlib_module_names or module in {"studio.errors", "studio.plug"}
        light = light or inner(path).startswith("gui/") and not module.startswith(("torch", "studio.view"))
        assert light or module.startswith(f"studio.{path.parent.name}"), f"{inner(path)} imports {module} at its top"


def test_files_stay_readable() -> None:
    assert not [inner(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 300]
