"""The package itself: cheap to import, and its few names stay what they are whatever was imported before."""

from __future__ import annotations

import subprocess
import sys


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_importing_the_package_is_cheap() -> None:
    heavy = "{'torch', 'numpy', 'trimesh', 'diffusers', 'scipy', 'dearpygui', 'tyro'}"
    assert python(f"import studio, sys; print({heavy} & set(sys.modules))") == "set()"


def test_run_can_be_called_and_is_still_a_module() -> None:
    code = """
import importlib.util, sys, types
import studio
fake = types.ModuleType("studio.run")
fake.run = lambda *a, **k: (a, k)
studio.run = fake  # what importing the submodule does
assert studio.run("config", "mesh", resume=1) == (("config", "mesh"), {"resume": 1})
assert studio.run.run is fake.run
try:
    studio.nothing
except AttributeError:
    print("well")
"""
    assert python(code) == "well"


def test_the_promised_names_are_there() -> None:
    import studio

    assert studio.Config(prompt="red").prompt == "red"
    assert callable(studio.load) and callable(studio.run)
