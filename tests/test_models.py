"""`studio models`: what it lists, and that it fetches what was agreed to, whole, pinned, and no byte twice. The hub is a server
of this machine."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from studio import critics, models, resources
from studio.__main__ import main
from studio.errors import StudioError
from studio.models import KNOWN, Model, Source, fetch

REPOSITORY, COMMIT = "somebody/something", "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "model_index.json": b"{}",
    "unet/config.json": b'{"a": 1}',
    "unet/weights.safetensors": b"w" * 3000,
    "unet/weights.fp16.safetensors": b"h" * 1500,
    "unet/weights.bin": b"code" * 100,
    "all.safetensors": b"x" * 9000,
    "run.py": b"import os",
}


class Hub(ThreadingHTTPServer):
    """A hub with one repository; `asked` are the files whose bytes were given out."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answer(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith(f"/api/models/{REPOSITORY}"):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in FILES.items()]
            told = {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "cardData": {"license": "mit"}}
            if "/tree/" in path:
                told = [{"type": "file", "path": n, "size": len(d), "oid": _oid(d)} for n, d in FILES.items()]
            return self._send(200, json.dumps(told).encode(), {}, body=True)
        name = path.removeprefix(f"/{REPOSITORY}/resolve/{COMMIT}/")
        if name not in FILES:
            return self._send(404, b"", {"X-Error-Code": "EntryNotFound"}, body=body)
        if body:
            self.server.asked.append(name)
        data = FILES[name]
        self._send(200, data, {"ETag": f'"{_oid(data)}"', "X-Repo-Commit": COMMIT}, body=body)

    def _send(self, code: int, data: bytes, headers: dict[str, str], *, body: bool) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    server = Hub()
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()
    shutil.rmtree(resources.models_dir(), ignore_errors=True)


def test_the_list_says_what_each_costs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    for name, model in KNOWN.items():
        assert name in said and model.licence in said and f"{model.download_gb:g} GB" in said
        assert all(models.REVISION.fullmatch(source.revision) for source in model.sources)
    assert said.count("not here") == len(KNOWN) and str(resources.models_dir()) in said
    assert set(KNOWN) >= {n for n in critics.SOCKET.names() if "path" in critics.SOCKET.load(n).__dataclass_fields__}


def test_a_pinned_model_is_fetched_once_without_what_could_hold_code(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{REPOSITORY}@{COMMIT}"
    fetch(name, agree=lambda: True, endpoint=hub.url)
    wanted = {"model_index.json", "unet/config.json", "unet/weights.fp16.safetensors"}
    folder = resources.model_dir(name)
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and ".cache" not in p.parts}
    assert found == wanted and set(hub.asked) == wanted
    assert all((folder / file).read_bytes() == FILES[file] for file in wanted)
    said = capsys.readouterr().out
    assert "licence: mit" in said and REPOSITORY in said and "GB of memory" in said
    hub.asked.clear()
    (folder / "unet" / "config.json").unlink()
    fetch(name, agree=lambda: True, endpoint=hub.url)
    assert hub.asked == ["unet/config.json"]


def test_a_listed_model_is_known_to_be_whole_or_partial(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(REPOSITORY, COMMIT, ("model_index.json", "unet/config.json"))
    monkeypatch.setitem(KNOWN, "small", Model("for tests", "mit", 0.1, 0.1, (source,), ("example.org/head.pth",)))
    assert models.state("small") == "not here"
    fetch("small", agree=lambda: True, endpoint=hub.url)
    assert models.state("small") == "partly here: head.pth is missing"
    (resources.model_dir("small") / "head.pth").write_bytes(b"")
    assert models.state("small") == "here"
    wrong = Source(REPOSITORY, COMMIT, ("model_index.json", "vae/config.json"))
    monkeypatch.setitem(KNOWN, "small", Model("for tests", "mit", 0.1, 0.1, (wrong,)))
    with pytest.raises(StudioError, match="has no vae/config.json"):
        fetch("small", agree=lambda: True, endpoint=hub.url)


def test_what_has_no_known_revision_is_named_not_fetched(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    fetch("sd15-depth-inpaint", agree=lambda: True, endpoint=hub.url)
    said = capsys.readouterr().out
    assert "none stated" in said and all(line in said for line in KNOWN["sd15-depth-inpaint"].by_hand)
    assert hub.asked == [] and models.state("sd15-depth-inpaint") == "not here"


def test_nothing_is_fetched_without_consent_a_revision_or_a_network(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{REPOSITORY}@{COMMIT}"
    with pytest.raises(StudioError, match="was not fetched"):
        fetch(name, agree=lambda: False, endpoint=hub.url)
    with pytest.raises(StudioError, match="not pinned"):
        fetch(f"{REPOSITORY}@main", agree=lambda: True, endpoint=hub.url)
    with pytest.raises(StudioError, match="'sd15-depth'"):
        fetch("sd15-deep", agree=lambda: True, endpoint=hub.url)
    with pytest.raises(StudioError, match="could not be fetched"):
        fetch(f"nobody/nothing@{COMMIT}", agree=lambda: True, endpoint=hub.url)
    assert hub.asked == [] and not resources.models_dir().exists()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(StudioError, match="HF_HUB_OFFLINE"):
        fetch(name, agree=lambda: True, endpoint=hub.url)


def test_the_command_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch"]) == 2
    assert "Nothing to fetch was named" in capsys.readouterr().err
    assert main(["models", "fetch", "sd15"]) == 2
    assert "HF_HUB_OFFLINE" in capsys.readouterr().err


def test_critics_find_what_was_fetched(own_home: Path) -> None:
    from studio.rewards import _critics
    from tests.critics.test_user_critics import CPU, clip_folder

    with pytest.raises(StudioError, match="studio models fetch clip_score"):
        _critics.eye("clip_score", "", "score", CPU)
    try:
        clip_folder(resources.model_dir("clip_score"))
        assert _critics.eye("clip_score", "", "score", CPU).px == 32
    finally:
        shutil.rmtree(resources.models_dir())
