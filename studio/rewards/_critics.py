"""What `prompt` and `quality` share: the critic that both follow, and what can be said of it before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio.critics import SOCKET, Eye, Opinion, chosen, shared
from studio.errors import StudioError

if TYPE_CHECKING:
    import torch


def eye(name: str, path: str, opinion: Opinion, device: torch.device) -> Eye:
    """The critic called `name`, from the user's folder `path` where it needs one; one instance for all rewards.

    Raises StudioError when it is unknown, only judges, has no such opinion, or its weights are missing.
    """
    plug = SOCKET.load(name)
    if plug.held_out:
        raise StudioError(f"The critic '{name}' only judges; rewards must not follow it.", f"Choose {_others(opinion)}.")
    if opinion not in plug.opinions:
        what = "how pictures fit a prompt" if opinion == "score" else "how good pictures are"
        raise StudioError(f"The critic '{name}' cannot tell {what}.", f"Choose {_others(opinion)}.")
    critic = chosen(name, path)
    if reason := SOCKET.why_not(name):
        raise StudioError(f"The critic '{name}' cannot be used: {reason}", f"Choose {_others(opinion, but=name)}.")
    return shared(critic, device)


def _others(opinion: Opinion, *, but: str = "") -> str:
    """The names of critics with this opinion that rewards may follow, as a remedy says them."""
    plugs = {name: SOCKET.load(name) for name in SOCKET.working() if name != but}
    return " or ".join(repr(name) for name, plug in plugs.items() if opinion in plug.opinions and not plug.held_out)
