"""The process of a user's score: run as a script in a folder with score.py; answers each line of its input with one line of JSON.

It knows nothing of the studio. What the score prints goes nowhere: standard output belongs to the answers.
"""

from __future__ import annotations

import json
import math
import os
import sys
import types
from typing import IO, Any

import numpy as np


def scored(function: Any) -> dict[str, Any]:
    """What the function says of the texture in ask.npz."""
    with np.load("ask.npz", allow_pickle=False) as given:
        pictures, texture = given["pictures"], given["texture"]
    value = function(pictures, texture)
    if isinstance(value, (str, bytes, bool)) or not hasattr(value, "__float__"):
        return {"problem": f"returned {type(value).__name__} {str(value)[:40]!r}, not a number."}
    number = float(value)
    return {"value": number} if math.isfinite(number) else {"problem": f"returned {number}."}


def raised(error: BaseException) -> dict[str, Any]:
    """What to say of an error."""
    return {"problem": f"raised {type(error).__name__}: {str(error)[:200]}"}


def said(answers: IO[bytes], answer: dict[str, Any]) -> None:
    """One line, at once."""
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def main() -> None:
    """Load the score, say so with an empty answer, then answer until there are no more questions."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    module, broken = types.ModuleType("score"), None
    try:
        with open("score.py", "rb") as file:
            exec(compile(file.read(), "score.py", "exec"), module.__dict__)
    except BaseException as error:  # whatever somebody's code raises is an answer
        broken = raised(error)
    function = getattr(module, "score", None)
    if broken is None and not callable(function):
        broken = {"problem": "has no function 'score(pictures, texture)'."}
    said(answers, {})
    for _ in sys.stdin.buffer:
        try:
            answer = broken or scored(function)
        except BaseException as error:
            answer = raised(error)
        said(answers, answer)


if __name__ == "__main__":
    main()
