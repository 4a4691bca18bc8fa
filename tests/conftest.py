"""Tests run offline, keep their hands off the user's folders, and share what is slow to make."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches and autosaves of every test go to a folder of the test session."""
    home = tmp_path_factory.getbasetemp() / "patina-home"
    monkeypatch.setenv("PATINA_HOME", str(home))
    return home
