"""What `millrace up ollama` starts and tells it, what builds it, what the doctor says of it, and the files for curl."""

import json
import os
import shutil
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from millrace import config, doctor, stack
from millrace.errors import ConfigError, Unavailable
from millrace.sentiment import prompt
from millrace.stack import ollama, ollama_build
from tests import tiny_model

FILES = Path(__file__).parents[2] / "docker" / "ollama"
TAGS = {"models": [{"name": "llama3.2:1b"}, {"name": "deepseek-r1:1.5b"}]}


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Ollama on the PATH or in the cache, no models of anybody, nothing that anybody told it."""
    for name in [name for name in os.environ if name.startswith(ollama.TOLD)]:
        monkeypatch.delenv(name)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_without_a_program_it_is_said_where_one_comes_from(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"https://ollama.com/download.*`make ollama`.*MILLRACE_OLLAMA_URL"):
        stack.up(["ollama"], config.load(home=tmp_path / "home"))


def test_that_on_the_path_is_taken_before_that_of_the_cache(tmp_path: Path) -> None:
    built = program(ollama.built())
    assert ollama.binary() == built and built.is_relative_to(tmp_path / "cache")
    installed = program(tmp_path / "bin" / "ollama")
    assert ollama.binary() == installed


def test_it_listens_on_the_loopback_address_and_is_told_what_its_user_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(ollama.built())
    for name, value in {"OLLAMA_HOST": "0.0.0.0:80", "OLLAMA_NUM_PARALLEL": "2", "CUDA_VISIBLE_DEVICES": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    launch = ollama.prepare(tmp_path / "data", 1234)
    assert launch.command == [str(ollama.built()), "serve"] and "hunter2" not in str(launch)
    expected = {"OLLAMA_HOST": "127.0.0.1:1234", "OLLAMA_NUM_PARALLEL": "2", "OLLAMA_NO_CLOUD": "1",
                "OLLAMA_NOPRUNE": "1", "CUDA_VISIBLE_DEVICES": "1", "HOME": str(tmp_path / "data")}  # fmt: skip
    assert launch.env.items() >= expected.items()


def test_models_that_were_pulled_are_used_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program(ollama.built())
    data = tmp_path / "data"
    assert ollama.prepare(data, 1).env["OLLAMA_MODELS"] == str(data / "models") and not capsys.readouterr().err
    usual = tmp_path / "me" / ".ollama" / "models"
    usual.mkdir(parents=True)
    assert ollama.prepare(data, 1).env["OLLAMA_MODELS"] == str(usual) and str(usual) in capsys.readouterr().err
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "elsewhere"))
    assert ollama.prepare(data, 1).env["OLLAMA_MODELS"] == str(tmp_path / "elsewhere")


def test_the_builder_names_every_tool_that_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"no go on PATH \(https://go.dev/dl.*, no g\+\+ on PATH"):
        ollama_build.build()


def test_without_a_network_one_line_says_which_module_did_not_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = program(tmp_path / "bin" / "go")
    go.write_text("""#!/bin/sh\necho '{"Error": "no such host"}'\nexit 1\n""")
    program(tmp_path / "bin" / "g++")
    with pytest.raises(
        Unavailable, match=r"^cannot download the Go module github.com/gen2brain/malgo@v\S+: no such host$"
    ):
        ollama_build.build()
    assert not ollama.built().exists()


def test_what_is_built_is_not_built_again() -> None:
    built = program(ollama.built())
    assert ollama_build.build() == built


def test_what_is_trained_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until what it is made of changes; how the server is told of it is no part of that."""
    monkeypatch.setattr(tiny_model, "FOLDER", Path(shutil.copytree(tiny_model.FOLDER, tmp_path / "parts")))
    trained: list[Path] = []
    monkeypatch.setattr(tiny_model, "_train", lambda folder: (folder.mkdir(parents=True), trained.append(folder)))
    first = tiny_model.modelfile()
    (tiny_model.FOLDER / "Modelfile").write_text("FROM other")
    assert tiny_model.modelfile() == first and first.read_text() == "FROM other" and trained == [first.parent]
    (tiny_model.FOLDER / "train.py").write_text("other")
    assert tiny_model.modelfile() != first and len(trained) == 2


def test_the_tiny_model_is_asked_as_it_was_trained() -> None:
    [form] = [line for line in (tiny_model.FOLDER / "Modelfile").read_text().splitlines() if "TEMPLATE" in line]
    asked = '{{ range .Messages }}{{ if eq .Role "user" }}Post: {{ .Content }} Answer:{{ end }}{{ end }}'
    assert form == f'TEMPLATE """{asked}"""'
    assert 'PROMPT = "Post: {} Answer:"' in (tiny_model.FOLDER / "train.py").read_text()


def test_the_files_for_curl_ask_what_the_product_asks() -> None:
    pull, asked = (json.loads((FILES / f"{name}_model.json").read_text()) for name in ("pull", "test"))
    assert pull == {"model": doctor.MODEL} and asked["model"] == doctor.MODEL
    assert asked["messages"] == prompt.messages(asked["messages"][1]["content"])
    assert asked["format"] == prompt.SCHEMA and asked["stream"] is False and asked["think"] is False


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    """A server whose models are those of its attribute `tags`, or that answers 500 without."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.server.tags else 500)
            self.end_headers()
            self.wfile.write(json.dumps(self.server.tags).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        found.tags = TAGS
        thread = Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def url(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_port}"


def test_ready_is_a_server_that_lists_its_models(server: HTTPServer) -> None:
    assert ollama.pulled(url(server)) == ["deepseek-r1:1.5b", "llama3.2:1b"]
    for tags, match in ((None, "answers 500"), ({"no": 1}, "KeyError"), ([], "answers 500"), ([1], "TypeError")):
        server.tags = tags
        with pytest.raises(Unavailable, match=match):
            ollama.pulled(url(server))
    with pytest.raises(Unavailable, match="refused"):
        ollama.pulled("http://127.0.0.1:1")


def findings(url: str) -> list[doctor.Finding]:
    return list(doctor._ollama(config.load(ollama_url=url)))


def test_the_doctor_tells_how_a_model_is_pulled_that_is_not_there(server: HTTPServer) -> None:
    [there] = findings(url(server))
    assert there.good and doctor.MODEL in there.found and not there.advice
    server.tags = {"models": [{"name": "llama3.2:1b"}]}
    [other] = findings(url(server))
    server.tags = {"models": None}
    [none] = findings(url(server))
    assert other.good and "llama3.2:1b" in other.found and not none.good and "no models" in none.found
    for finding in (other, none):
        assert f"OLLAMA_HOST={url(server)} ollama pull deepseek-r1:1.5b" in finding.advice
        assert f"curl {url(server)}/api/pull -d @docker/ollama/pull_model.json" in finding.advice


def test_the_doctor_misses_a_server_where_one_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = findings("http://127.0.0.1:1")
    assert not finding.good and "millrace up ollama" in finding.advice
    monkeypatch.setattr(config, "OLLAMA", "http://127.0.0.1:1")
    assert findings("http://127.0.0.1:1") == []


def test_the_doctor_finds_a_server_where_nobody_set_one(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.tags = {"models": []}
    monkeypatch.setattr(config, "OLLAMA", url(server))
    [finding] = findings(url(server))
    assert finding.good and finding.advice.startswith("for deepseek-r1:1.5b: `ollama pull deepseek-r1:1.5b`")
