"""Sockets and knobs: how a folder of alternatives finds its files and how each file describes its settings.

A folder of `studio` that holds a `Socket` is a socket; each file in it whose name does not start with `_` is a plug, and the
plug's name is its file name. A plug is a frozen dataclass that keeps the socket's promise (an abstract class in the folder's
`__init__.py`); its fields are `knob`s, from which the command line, presets, forms and undo are made. Nothing is registered by
hand and nothing heavy is imported until `build()`. Installed packages add plugs through entry points of the socket's name.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import reprlib
import types
import typing
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from studio.errors import StudioError, unknown

Promise = TypeVar("Promise")


@dataclasses.dataclass(frozen=True)
class Knob:
    """What a form, a command line and a preset need to know of one setting."""

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] = ()
    unit: str = ""


def knob(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[Any, ...] = (),
    unit: str = "",
) -> Any:
    """A dataclass field that is a setting: its default, one plain sentence, bounds (inclusive), choices and unit."""
    described = Knob(help, low, high, choices, unit)
    if isinstance(default, list | dict | set):
        raise TypeError("a knob's default must be immutable")
    return dataclasses.field(default=default, metadata={"knob": described})


def knobs(plug: type | object) -> dict[str, Knob]:
    """The knobs of a plug (or of any dataclass made of knobs), in order."""
    fields = dataclasses.fields(plug)  # type: ignore[arg-type]
    return {f.name: f.metadata["knob"] for f in fields if "knob" in f.metadata}


def checked(plug: type, values: Mapping[str, Any], *, what: str) -> dict[str, Any]:
    """`values` converted to the types of `plug`'s knobs. `what` names the plug in errors.

    Raises StudioError for an unknown knob (with the nearest name), a wrong type, a value out of bounds or not among the choices.
    """
    known = knobs(plug)
    hints = typing.get_type_hints(plug)
    result: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise unknown(f"setting of {what}", name, known)
        k = known[name]
        value = _converted(value, hints[name], f"{what}: {name}")
        if k.choices and value not in k.choices:
            raise StudioError(f"{what}: {name} cannot be {shown(value)}.", f"Choose one of {', '.join(map(str, k.choices))}.")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not (value == value and abs(value) != float("inf")):
                raise StudioError(f"{what}: {name} must be a finite number.", "Give a number within its range.")
            if (k.low is not None and value < k.low) or (k.high is not None and value > k.high):
                low = "" if k.low is None else f"at least {k.low:.10g}"
                high = "" if k.high is None else f"at most {k.high:.10g}"
                bounds = " and ".join(b for b in (low, high) if b)
                problem = f"{what}: {name} = {shown(value)} is out of range."
                raise StudioError(problem, f"It must be {bounds}{k.unit and ' ' + k.unit}.")
        result[name] = value
    return result


def _converted(value: Any, hint: Any, where: str) -> Any:
    """`value` as the annotated type: numbers, strings, booleans, tuples of these, and None where it is allowed."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    wrong = StudioError(f"{where} cannot be {shown(value)}.", f"It must be {_said(hint)}.")
    for option in options:
        if option is type(None):
            if value is None or value == "none":
                return None
            continue
        origin = typing.get_origin(option) or option
        if origin is bool:
            if isinstance(value, bool):
                return value
            if isinstance(value, str) and value.lower() in {"true", "yes", "on", "false", "no", "off"}:
                return value.lower() in {"true", "yes", "on"}
        elif origin in (int, float) and not isinstance(value, bool):
            try:
                number = origin(value)
            except (TypeError, ValueError, OverflowError):
                continue
            if origin is float or not isinstance(value, float) or value == number:
                return number
        elif origin is str and isinstance(value, str):
            return value
        elif origin is tuple:
            items = value.split(",") if isinstance(value, str) else value
            if isinstance(items, list | tuple):
                inner = typing.get_args(option)[0]
                return tuple(_converted(i.strip() if isinstance(i, str) else i, inner, where) for i in items)
    raise wrong


def shown(value: Any) -> str:
    """A wrong value as an error says it: a number of a thousand digits is no help."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = 60
    try:
        return short.repr(value)
    except ValueError:  # Python refuses to write out integers beyond some thousand digits
        return "a number that long"


def _said(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(hint, str(hint).replace("typing.", ""))


class Socket(Generic[Promise]):
    """The plugs of one folder (and of installed packages), found by file name and imported on demand."""

    def __init__(self, package: str, promise: type[Promise]) -> None:
        """`package` is the folder's module name (`studio.rewards`), also the entry-point group for outside plugs."""
        self.package = package
        self.promise = promise
        self.kind = package.rsplit(".", 1)[-1].removesuffix("s")

    def names(self) -> list[str]:
        """Every plug's name, sorted; imports none of them."""
        return sorted({*self._own(), *self._installed()})

    def working(self) -> list[str]:
        """The names of the plugs that can be loaded: one outside package in disorder must not cost the others."""
        return [name for name in self.names() if self._problem(name) is None]

    def load(self, name: str) -> type[Promise]:
        """The plug's class. Raises StudioError for an unknown name or an outside plug that cannot be imported."""
        if name in self._own():
            module = importlib.import_module(f"{self.package}.{name}")
            found = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
            plugs = [c for c in found if issubclass(c, self.promise) and not inspect.isabstract(c)]
            if len(plugs) != 1:
                raise TypeError(f"{module.__name__} must hold exactly one {self.promise.__name__}, found {len(plugs)}")
            return plugs[0]
        installed = self._installed()
        if name not in installed:
            raise unknown(self.kind, name, self.names())
        try:
            plug = installed[name].load()
        except Exception as error:  # an outside package may fail in any way
            package = installed[name].dist
            owner = package.name if package else name
            problem = f"The {self.kind} '{name}' of the package '{owner}' cannot be imported: {error}."
            raise StudioError(problem, "Reinstall or remove that package.") from error
        if not (inspect.isclass(plug) and issubclass(plug, self.promise)):
            problem = f"The {self.kind} '{name}' is not a {self.promise.__name__}."
            raise StudioError(problem, f"Its package must point {self.package} at such a class.")
        return plug

    def make(self, name: str, /, **values: Any) -> Promise:
        """A plug with these knobs, checked. Raises StudioError for an unknown plug, knob or value."""
        plug = self.load(name)
        return plug(**checked(plug, values, what=f"{self.kind} '{name}'"))

    def name_of(self, plug: object) -> str:
        """The name under which a plug object or class is found."""
        cls = plug if inspect.isclass(plug) else type(plug)
        if cls.__module__.startswith(self.package + "."):
            return cls.__module__.rsplit(".", 1)[-1]
        return next(n for n in self._installed() if self._problem(n) is None and self.load(n) is cls)

    def why_not(self, name: str) -> str | None:
        """The reason why this plug cannot run here, or None when it can (a greyed entry in a menu)."""
        if problem := self._problem(name):
            return problem
        reason = getattr(self.load(name), "why_not", None)
        return reason() if reason else None

    def _problem(self, name: str) -> str | None:
        """Why this plug cannot be loaded."""
        try:
            self.load(name)
        except StudioError as error:
            return error.problem
        return None

    def _own(self) -> list[str]:
        spec = importlib.util.find_spec(self.package)
        assert spec is not None and spec.submodule_search_locations is not None, self.package
        return [m.name for m in pkgutil.iter_modules(spec.submodule_search_locations) if not m.name.startswith("_")]

    def _installed(self) -> dict[str, importlib.metadata.EntryPoint]:
        return {e.name: e for e in importlib.metadata.entry_points(group=self.package)}
