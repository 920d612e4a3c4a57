"""The REST interface of Kafka Connect: connectors, their tasks, their offsets."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from millrace.errors import ConfigError, Unavailable

TIMEOUT = 60.0  # seconds; a worker that checks a configuration connects to the database first
PATIENCE = 60.0  # seconds for a worker that is about to spread its work anew
PAUSE = 0.5  # seconds between two looks
RUNNING, FAILED, STOPPED, PAUSED = "RUNNING", "FAILED", "STOPPED", "PAUSED"


@dataclass(frozen=True)
class Status:
    """The state of a connector and those of its tasks; `traces` say why what failed did."""

    state: str
    tasks: tuple[str, ...]
    traces: tuple[str, ...] = ()

    @property
    def running(self) -> bool:
        """Whether the connector and a task of it run."""
        return self.state == RUNNING and set(self.tasks) == {RUNNING}

    @property
    def failed(self) -> bool:
        """Whether the connector or a task failed: it stays so until it is restarted."""
        return FAILED in (self.state, *self.tasks)

    @property
    def reason(self) -> str:
        """What the innermost error of the first failure says."""
        lines = self.traces[0].splitlines() if self.traces else []
        causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
        return (causes[-1:] or lines or ["it does not say why"])[0].strip()

    def __str__(self) -> str:
        """Return both in words."""
        return f"{self.state}, " + (f"task {', '.join(self.tasks)}" if self.tasks else "no task yet")


class Connect:
    """A worker at `url`. Its calls raise Unavailable where it does not answer, ConfigError where it refuses."""

    def __init__(self, url: str) -> None:
        """Keep a client of `url`; nothing is asked yet."""
        self._where = f"Kafka Connect at {urlsplit(url).netloc.rpartition('@')[2]}"
        self._client = httpx.Client(base_url=url, timeout=httpx.Timeout(TIMEOUT, connect=10), trust_env=False)

    def config(self, name: str) -> dict[str, str] | None:
        """Return the configuration of a connector, None where there is none of the name."""
        found: dict[str, str] | None = self._ask("GET", f"{_path(name)}/config", absent=True)
        return found

    def create(self, name: str, config: dict[str, str]) -> None:
        """Make a connector that does not start before `resume`."""
        self._ask("POST", "/connectors", json={"name": name, "config": config, "initial_state": STOPPED})

    def put(self, name: str, config: dict[str, str]) -> None:
        """Give a connector another configuration, by which its tasks start anew."""
        self._ask("PUT", f"{_path(name)}/config", json=config)

    def status(self, name: str) -> Status | None:
        """Return the state of a connector, None where there is none, or where the worker has none yet."""
        answer = self._ask("GET", f"{_path(name)}/status", absent=True)
        if answer is None:
            return None
        parts = [answer["connector"], *answer["tasks"]]
        traces = tuple(part["trace"] for part in parts if part.get("trace"))
        return Status(answer["connector"]["state"], tuple(task["state"] for task in answer["tasks"]), traces)

    def restart_failed(self, name: str) -> None:
        """Start what failed of a connector again."""
        self._ask("POST", f"{_path(name)}/restart", params={"includeTasks": "true", "onlyFailed": "true"})

    def restart(self, name: str) -> None:
        """Start a connector and its tasks again, whatever they do."""
        self._ask("POST", f"{_path(name)}/restart", params={"includeTasks": "true", "onlyFailed": "false"})

    def pause(self, name: str) -> None:
        """Let the tasks of a connector wait; PostgreSQL keeps its log for them."""
        self._ask("PUT", f"{_path(name)}/pause")

    def resume(self, name: str) -> None:
        """Let a connector go on that was paused or stopped."""
        self._ask("PUT", f"{_path(name)}/resume")

    def stop(self, name: str) -> None:
        """End the tasks of a connector, and return when none is left: its offsets may then be changed."""
        self._ask("PUT", f"{_path(name)}/stop")
        deadline = time.monotonic() + PATIENCE
        while (status := self.status(name)) and (status.state != STOPPED or status.tasks):
            if time.monotonic() > deadline:
                raise Unavailable(f"{self._where}: {name} does not stop: {status}")
            time.sleep(PAUSE)

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """Return where a connector is: `partition` and `offset` of its source, as Debezium writes them."""
        found: list[dict[str, Any]] = self._ask("GET", f"{_path(name)}/offsets")["offsets"]
        return found

    def forget_offsets(self, name: str) -> None:
        """Let a connector that was stopped begin anew."""
        self._ask("DELETE", f"{_path(name)}/offsets")

    def delete(self, name: str) -> None:
        """Remove a connector, if it is there; its offsets stay in Kafka."""
        self._ask("DELETE", _path(name), absent=True)

    def _ask(self, method: str, path: str, *, absent: bool = False, **options: Any) -> Any:
        """Return the answer; None where there is none, or where `absent` allows that what is asked of is not there."""
        deadline = time.monotonic() + PATIENCE
        while (answer := self._send(method, path, **options)).status_code == httpx.codes.CONFLICT:
            if time.monotonic() > deadline:  # it spreads its work among workers, which ends
                raise Unavailable(f"{self._where}: {_message(answer)}")
            time.sleep(PAUSE)
        if absent and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.is_server_error:
            raise Unavailable(f"{self._where}: {_message(answer)}")
        if answer.is_error:
            raise ConfigError(f"{self._where}: {_message(answer)}")
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise Unavailable(f"{self._where}: it answers with what is no JSON: is that Kafka Connect?") from None

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            advice = "start it by `millrace up connect`, or correct MILLRACE_CONNECT_URL"
            raise Unavailable(f"{self._where}: {type(error).__name__}: {error}; {advice}") from error


def _path(name: str) -> str:
    return f"/connectors/{quote(name, safe='')}"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"]).strip()
    except (ValueError, KeyError, TypeError):
        return f"{answer.status_code} {answer.reason_phrase}"
