"""Whole files or none."""

import errno
import json
import os

import pytest

from studio import files
from studio.errors import OutputError


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path):
    target = tmp_path / "a.txt"
    files.write_text(target, "old")
    with pytest.raises(ValueError), files.replacing(target) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == target.suffix and target.read_text() == "old"
        raise ValueError
    assert os.listdir(tmp_path) == ["a.txt"] and target.read_text() == "old"


def test_files_that_belong_together_appear_together(tmp_path):
    """When the second cannot be written the first does not appear either."""
    good, bad = tmp_path / "a.png", tmp_path / "missing" / "b.obj"
    with pytest.raises(OutputError):
        files.write_together({good: b"1", bad: b"2"})
    assert os.listdir(tmp_path) == []
    assert files.write_together({good: b"1", tmp_path / "b.obj": b"2"}) == [good, tmp_path / "b.obj"]
    assert good.read_bytes() == b"1" and (tmp_path / "b.obj").read_bytes() == b"2"


@pytest.mark.parametrize("make", [lambda p: p / "none" / "x.glb", lambda p: p])
def test_places_that_cannot_be_written_are_said_in_words(tmp_path, make):
    with pytest.raises(OutputError) as caught:
        files.write_bytes(make(tmp_path), b"x")
    assert caught.value.remedy.endswith(".") and str(tmp_path) in caught.value.problem


def test_a_foreign_error_inside_the_block_is_not_mistaken_for_the_output(tmp_path):
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "x"):
        open(tmp_path / "input that is not there")


def test_json_says_only_what_json_can(tmp_path):
    import numpy as np

    value = {"nan": float("nan"), "inf": [float("inf")], "n": np.float32(0.5), 3: (1, "ä"), "s": {"b", "a"}}
    files.write_json(tmp_path / "r.json", value)
    read = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert read == {"nan": None, "inf": [None], "n": 0.5, "3": [1, "ä"], "s": ["a", "b"]}


def test_a_full_disk_is_said_in_words(tmp_path):
    with pytest.raises(OutputError, match="disk is full"), files.replacing(tmp_path / "x"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 300 + ".glb", "y" * 300 + "/x.glb"])
def test_a_name_that_is_too_long_is_a_place_that_cannot_be_written(name, tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_bytes(tmp_path / name, b"x")
    assert not list(tmp_path.iterdir())
