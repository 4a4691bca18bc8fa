"""Where the files that ship with the studio are, and where it keeps its own.

Presets and sample meshes lie beside the package in a checkout and inside it in a wheel; both are looked for, so that a wheel, an
editable install and a plain checkout behave alike.
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from studio.errors import StudioError, unknown

HOME_VARIABLE = "PATINA_HOME"
"""This environment variable, when set, is the folder under which caches and autosaves are kept."""

_PACKAGE = Path(__file__).resolve().parent
_MESH_SUFFIXES = {".glb", ".gltf", ".obj", ".ply", ".stl"}


def presets_dir() -> Path:
    """The folder of the presets that ship with the studio. Raises StudioError when the installation is incomplete."""
    return _shipped("presets")


def sample_meshes_dir() -> Path:
    """The folder of the sample meshes that ship with the studio. Raises StudioError when the installation is incomplete."""
    return _shipped("sample_meshes")


def sample_names() -> list[str]:
    """The sample meshes' names, sorted."""
    return sorted(path.stem for path in sample_meshes_dir().iterdir() if path.suffix in _MESH_SUFFIXES)


def sample(name: str) -> Path:
    """The file of a sample mesh. Raises StudioError with the nearest name."""
    for path in sample_meshes_dir().iterdir():
        if path.stem == name and path.suffix in _MESH_SUFFIXES:
            return path
    raise unknown("sample mesh", name, sample_names())


def cache_dir() -> Path:
    """The user's folder for what can be computed again; it need not exist yet."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home, "cache") if home else platformdirs.user_cache_path("patina-studio", appauthor=False)


def autosave_dir() -> Path:
    """The user's folder for work that must survive a crash; it need not exist yet."""
    home = os.environ.get(HOME_VARIABLE)
    return (Path(home) if home else platformdirs.user_data_path("patina-studio", appauthor=False)) / "autosave"


def loras_dir() -> Path:
    """The user's folder for learned LoRAs that are kept in use; it need not exist yet."""
    return autosave_dir().with_name("loras")


def models_dir() -> Path:
    """The user's folder for models of others that were fetched for them; it need not exist yet."""
    return autosave_dir().with_name("models")


def model_dir(name: str) -> Path:
    """Where such a model is kept: of `studio models` by its name, of others as owner/model@revision."""
    return models_dir() / name.replace("/", "--")


def config_dir() -> Path:
    """The user's folder for what the studio remembers of their habits; it need not exist yet."""
    home = os.environ.get(HOME_VARIABLE)
    return Path(home, "config") if home else platformdirs.user_config_path("patina-studio", appauthor=False)


def _shipped(name: str) -> Path:
    for folder in (_PACKAGE / f"_{name}", _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise StudioError(f"The folder '{name}' that ships with the studio is missing.", "Install the package again.")
