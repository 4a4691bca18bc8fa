"""What ships with the studio is found, and what the user keeps goes where the user says."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio import resources
from studio.errors import StudioError


def test_presets_and_samples_are_there() -> None:
    assert len(list(resources.presets_dir().glob("*.toml"))) >= 6
    assert {"vase", "mug", "chair", "rabbit", "mushroom", "rocket", "robot", "torus_knot"} <= set(resources.sample_names())
    assert all(resources.sample(name).is_file() for name in resources.sample_names())
    with pytest.raises(StudioError, match="Did you mean 'vase'"):
        resources.sample("vaze")


def test_a_wheel_s_folders_come_before_a_checkout_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / "studio"
    package.mkdir(parents=True)
    monkeypatch.setattr(resources, "_PACKAGE", package)
    with pytest.raises(StudioError, match="Install the package again"):
        resources.presets_dir()
    beside, inside = tmp_path / "site" / "presets", package / "_presets"
    beside.mkdir()
    assert resources.presets_dir() == beside
    inside.mkdir()
    assert resources.presets_dir() == inside


def test_the_user_s_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(resources.HOME_VARIABLE, str(tmp_path))
    assert resources.cache_dir() == tmp_path / "cache" and resources.autosave_dir() == tmp_path / "autosave"
    monkeypatch.delenv(resources.HOME_VARIABLE)
    assert resources.cache_dir().is_absolute() and "patina-studio" in str(resources.cache_dir())
    assert resources.cache_dir() != resources.autosave_dir()
