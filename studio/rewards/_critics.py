"""What `prompt` and `quality` share: the critic that both follow, and what can be said of it before a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studio import resources
from studio.critics import SOCKET, Eye, Opinion, shared
from studio.errors import StudioError
from studio.plug import knobs

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
    own = "path" in knobs(plug)
    if own and not path:
        fetched = resources.model_dir(name)
        if not fetched.is_dir():
            remedy = f"Give the folder of its files as 'path', or fetch them: `studio models fetch {name}`."
            raise StudioError(f"The critic '{name}' does not come with the studio.", remedy)
        path = str(fetched)
    if path and not own:
        raise StudioError(f"The critic '{name}' comes with the studio and reads no folder.", "Leave 'path' empty.")
    if reason := SOCKET.why_not(name):
        raise StudioError(f"The critic '{name}' cannot be used: {reason}", f"Choose {_others(opinion, but=name)}.")
    return shared(SOCKET.make(name, **({"path": path} if own else {})), device)


def _others(opinion: Opinion, *, but: str = "") -> str:
    """The names of critics with this opinion that rewards may follow, as a remedy says them."""
    plugs = {name: SOCKET.load(name) for name in SOCKET.working() if name != but}
    return " or ".join(repr(name) for name, plug in plugs.items() if opinion in plug.opinions and not plug.held_out)
