"""Sockets find their files, knobs check what they are given, and every mistake names the way out."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from studio import exporters, generators, renderers, rewards, trainers
from studio.errors import StudioError
from studio.plug import Socket, checked, knob, knobs

SOCKETS = [exporters.SOCKET, generators.SOCKET, renderers.SOCKET, rewards.SOCKET, trainers.SOCKET]


@dataclasses.dataclass(frozen=True)
class Everything:
    """One knob of every kind."""

    count: int = knob(3, "How many.", low=1, high=9)
    rate: float = knob(0.5, "How fast.", low=0, high=1, unit="per step")
    name: str = knob("a", "Which.", choices=("a", "b"))
    on: bool = knob(False, "Whether.")
    colours: tuple[str, ...] = knob(("red",), "Colours.")
    weights: tuple[float, ...] = knob((), "Numbers.")
    limit: float | None = knob(None, "A limit, or none.", low=0)
    derived: int = 7


def test_knobs_are_the_fields_made_by_knob_in_order() -> None:
    described = knobs(Everything)
    assert list(described) == ["count", "rate", "name", "on", "colours", "weights", "limit"]
    assert (described["rate"].low, described["rate"].high, described["rate"].unit) == (0, 1, "per step")


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("count", "4", 4),
        ("count", 4.0, 4),
        ("rate", 1, 1.0),
        ("rate", "0.25", 0.25),
        ("name", "b", "b"),
        ("on", "yes", True),
        ("on", "Off", False),
        ("colours", ["red", "blue"], ("red", "blue")),
        ("colours", "red, blue", ("red", "blue")),
        ("weights", [1, "2.5"], (1.0, 2.5)),
        ("limit", None, None),
        ("limit", "none", None),
        ("limit", 2, 2.0),
    ],
)
def test_values_are_converted_to_the_knob_s_type(name: str, given: object, expected: object) -> None:
    value = checked(Everything, {name: given}, what="it")[name]
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("count", 0, "at least 1"),
        ("count", 10, "at most 9"),
        ("count", 2.5, "a whole number"),
        ("count", True, "a whole number"),
        ("count", "many", "a whole number"),
        ("rate", float("nan"), "finite"),
        ("rate", float("inf"), "finite"),
        ("rate", 2, "per step"),
        ("name", "c", "a, b"),
        ("on", 1, "true or false"),
        ("colours", 5, "It must be"),
        ("cuont", 1, "Did you mean 'count'?"),
    ],
)
def test_a_wrong_value_is_refused_with_the_way_out(name: str, given: object, said: str) -> None:
    with pytest.raises(StudioError, match="it") as error:
        checked(Everything, {name: given}, what="it")
    assert said in str(error.value)


def test_a_knob_s_default_cannot_be_shared_state() -> None:
    with pytest.raises(TypeError):
        knob([], "A list.")


@pytest.mark.parametrize("socket", SOCKETS, ids=lambda s: s.kind)
def test_every_plug_is_a_frozen_dataclass_that_says_what_it_is(socket: Socket) -> None:
    assert socket.names()
    for name in socket.names():
        plug = socket.load(name)
        assert dataclasses.is_dataclass(plug) and plug.__dataclass_params__.frozen, name
        assert plug.__doc__ and not plug.__doc__.startswith(plug.__name__ + "("), f"{name} has no docstring"
        assert all(k.help for k in knobs(plug).values()), name
        assert set(knobs(plug)) == {f.name for f in dataclasses.fields(plug)}, f"{name} has fields that are not knobs"
        made = socket.make(name)
        assert socket.name_of(made) == name
        assert checked(plug, {k: getattr(made, k) for k in knobs(plug)}, what=name) == {k: getattr(made, k) for k in knobs(plug)}
        reason = socket.why_not(name)
        assert reason is None or reason.strip()


def test_an_unknown_plug_names_the_nearest() -> None:
    with pytest.raises(StudioError, match="Did you mean 'symmetry'"):
        rewards.SOCKET.make("symetry")
    with pytest.raises(StudioError, match="reward 'symmetry'"):
        rewards.SOCKET.make("symmetry", no_such_knob=1)


# -- plugs of other packages ------------------------------------------------------------------------------------------------


class Greeter(ABC):
    """A promise."""

    @abstractmethod
    def greet(self) -> str: ...


@dataclasses.dataclass(frozen=True)
class Outside(Greeter):
    """A plug that another package brings."""

    name: str = knob("you", "Whom.")

    def greet(self) -> str:
        return f"hello {self.name}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An importable package that is a socket with one plug, one private file and one broken file."""
    package = tmp_path / "greeters"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_private.py").write_text("raise ImportError('never imported')")
    (package / "empty.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield "greeters"
    for name in [m for m in sys.modules if m.split(".")[0] == "greeters"]:
        del sys.modules[name]


def test_names_come_from_files_and_nothing_is_imported(folder: str) -> None:
    socket = Socket(folder, Greeter)
    assert socket.names() == ["empty"] and "greeters.empty" not in sys.modules
    with pytest.raises(TypeError, match="exactly one"):
        socket.load("empty")


def test_installed_packages_bring_plugs(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    points = {
        "outside": importlib.metadata.EntryPoint("outside", f"{__name__}:Outside", folder),
        "broken": importlib.metadata.EntryPoint("broken", "no_such_package_at_all:Plug", folder),
        "wrong": importlib.metadata.EntryPoint("wrong", "pathlib:Path", folder),
    }
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or __import__("types").SimpleNamespace(Outside=Outside))
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points.values() if group == folder else ())
    socket = Socket(folder, Greeter)
    assert socket.names() == ["broken", "empty", "outside", "wrong"]
    made = socket.make("outside", name="world")
    assert made.greet() == "hello world" and socket.name_of(made) == "outside"
    for name in ("broken", "wrong"):
        with pytest.raises(StudioError, match=name):
            socket.load(name)


@pytest.mark.parametrize("what", ["no_such_package_at_all:Plug", "pathlib:Nothing", "greeters.torn:Plug", "pathlib:Path"])
def test_one_package_in_disorder_costs_the_others_nothing(
    what: str, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder / "empty.py").unlink()
    (tmp_path / folder / "torn.py").write_text("this is no Python")
    named = {"aaa": what, "outside": f"{__name__}:Outside"}
    points = [importlib.metadata.EntryPoint(name, value, folder) for name, value in named.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points if group == folder else ())
    socket = Socket(folder, Greeter)
    monkeypatch.setattr(socket, "_own", lambda: [])
    assert socket.names() == ["aaa", "outside"] and socket.working() == ["outside"]
    assert "aaa" in (socket.why_not("aaa") or "") and socket.name_of(Outside()) == "outside"


BEYOND = [10**400, "1" + "0" * 5000, float("inf"), float("nan"), 10**5000]


@pytest.mark.parametrize("value", BEYOND, ids=["big", "text", "inf", "nan", "huge"])
def test_a_number_beyond_all_bounds_is_a_mistake_like_any_other(value: object) -> None:
    with pytest.raises(StudioError, match="count") as error:
        checked(Everything, {"count": value}, what="the test")
    assert len(str(error.value)) < 200
    with pytest.raises(StudioError, match="rate"):
        checked(Everything, {"rate": value}, what="the test")
