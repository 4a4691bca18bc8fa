"""The changelog, the README and the scripts say the same as the package."""

from __future__ import annotations

import datetime
import re
import tomllib
from pathlib import Path

import pytest

import studio

ROOT = Path(__file__).resolve().parent.parent


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_top_version_is_the_package_version() -> None:
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", text("CHANGELOG.md"), re.MULTILINE)
    assert versions[0][0] == studio.__version__
    numbers = [tuple(map(int, number.split("."))) for number, _ in versions]
    dates = [datetime.date.fromisoformat(date) for _, date in versions]
    assert numbers == sorted(set(numbers), reverse=True) and dates == sorted(dates, reverse=True)


def test_sections_are_those_of_keep_a_changelog() -> None:
    known = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text("CHANGELOG.md"), re.MULTILINE)) <= known


@pytest.mark.parametrize(("script", "commands"), [(".ci/run", 1), (".github/workflows/test.yml", 2)])
def test_scripts_run_the_readme_s_test_commands(script: str, commands: int) -> None:
    """CI runs README's command for Linux to the letter; the workflow also the one for Windows."""
    written = re.findall(r"`([^`]*\[test\][^`]*pytest)`", text("README.md"))
    assert len(written) == 2 and all(command in text(script) for command in written[:commands])


def test_every_dependency_has_an_upper_bound() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    for requirement in [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]:
        assert re.search(r"<\d|==\d", requirement.split(";")[0]), requirement
