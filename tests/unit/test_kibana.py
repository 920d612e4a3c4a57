"""docker/kibana: the saved objects hang together, and the script that imports them says what Kibana said."""

import json
import re
import subprocess
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from millrace.sinks.elasticsearch.indices import INDICES

FOLDER = Path(__file__).parents[2] / "docker" / "kibana"
OBJECTS = [json.loads(line) for file in FOLDER.glob("*.ndjson") for line in file.read_text().splitlines()]
KNOWN = {(each["type"], each["id"]): each for each in OBJECTS}
REQUIRED = {"type", "id", "attributes", "references", "coreMigrationVersion", "typeMigrationVersion"}


def of(kind: str) -> list[dict[str, Any]]:
    found = [each for each in OBJECTS if each["type"] == kind]
    assert found
    return found


def test_each_object_is_whole_and_refers_to_what_is_there() -> None:
    assert len(KNOWN) == len(OBJECTS)
    for each in OBJECTS:
        assert each.keys() >= REQUIRED and each["attributes"]["title"]
        assert all((link["type"], link["id"]) in KNOWN for link in each["references"])


def test_each_index_has_a_data_view_with_a_time_of_its_own() -> None:
    views = {view["attributes"]["title"]: view["attributes"]["timeFieldName"] for view in of("index-pattern")}
    assert views.keys() == INDICES.keys()
    for title, field in views.items():
        assert INDICES[title].properties[field] == {"type": "date"}


@pytest.mark.parametrize("lens", of("lens"), ids=lambda each: each["id"])
def test_a_chart_shows_columns_that_it_has(lens: dict[str, Any]) -> None:
    state = lens["attributes"]["state"]
    [(name, layer)] = state["datasourceStates"]["formBased"]["layers"].items()
    assert [link["name"] for link in lens["references"]] == [f"indexpattern-datasource-layer-{name}"]
    assert set(layer["columnOrder"]) == set(layer["columns"])
    shown = re.findall(r'"(?:xAccessor|splitAccessor|metricAccessor)": "(\w+)"', json.dumps(state["visualization"]))
    for drawn in state["visualization"].get("layers", [state["visualization"]]):
        assert drawn["layerId"] == name
        shown += [*drawn.get("accessors", []), *drawn.get("primaryGroups", []), *drawn.get("metrics", [])]
    assert set(shown) == set(layer["columns"])


@pytest.mark.parametrize("dashboard", of("dashboard"), ids=lambda each: each["id"])
def test_a_dashboard_has_every_chart_once_and_none_upon_another(dashboard: dict[str, Any]) -> None:
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    names = {link["name"]: link["id"] for link in dashboard["references"]}
    shown = [names[f"{panel['panelIndex']}:{panel['panelRefName']}"] for panel in panels]
    assert sorted(shown) == sorted(each["id"] for each in of("lens"))
    cells: list[tuple[int, int]] = []
    for panel in panels:
        grid = panel["gridData"]
        assert grid["i"] == panel["panelIndex"] and grid["x"] + grid["w"] <= 48
        cells += [(grid["x"] + x, grid["y"] + y) for x in range(grid["w"]) for y in range(grid["h"])]
    assert len(set(cells)) == len(cells)


class Kibana(ThreadingHTTPServer):
    """Answers imports with `answer` and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer, self.asked = {"success": True}, []


class _Handler(BaseHTTPRequestHandler):
    server: Kibana

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), body))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(self.server.answer, separators=(",", ":")).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kibana() -> Iterator[Kibana]:
    server = Kibana()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(port: int, **env: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", str(FOLDER / "import.sh"), f"http://127.0.0.1:{port}"]
    return subprocess.run(
        command, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_script_imports_every_file(kibana: Kibana) -> None:
    done = run(kibana.server_port)
    assert (done.returncode, done.stderr) == (0, "")
    files = sorted(FOLDER.glob("*.ndjson"))
    assert [line.rsplit(maxsplit=1)[1] for line in done.stdout.splitlines()] == [file.name for file in files]
    for (path, headers, body), file in zip(kibana.asked, files, strict=True):
        assert path == "/api/saved_objects/_import?overwrite=true"
        assert headers["kbn-xsrf"] == "true" and "Authorization" not in headers
        assert file.read_bytes() in body


def test_the_script_logs_in(kibana: Kibana) -> None:
    assert run(kibana.server_port, KIBANA_USER="miller:s3 cret").returncode == 0
    assert kibana.asked[0][1]["Authorization"] == "Basic " + b64encode(b"miller:s3 cret").decode()


def test_the_script_fails_when_kibana_refuses_or_is_away(kibana: Kibana) -> None:
    kibana.answer = {"success": False, "errors": [{"error": {"type": "missing_references"}}]}
    done = run(kibana.server_port)
    assert done.returncode == 1 and "missing_references" in done.stderr
    assert run(1).returncode == 1
