import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from millrace.errors import Unavailable
from millrace.stack import process
from millrace.stack.process import Launch, Running

SLEEP = "import time; print('up', flush=True); time.sleep(600)"
COMES_AND_GOES = "import subprocess; print('up', flush=True)\nwhile True: subprocess.run(['true'])"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SLEEP


def start(tmp_path: Path, code: str) -> Running:
    return process.start(Launch([sys.executable, "-c", code]), tmp_path / "logs/x.log", tmp_path / "run/x.pid", 1234)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def says_up(tmp_path: Path) -> bool:
    return "up" in (tmp_path / "logs/x.log").read_text()


def test_starts_detached_and_stops_by_pid(tmp_path: Path) -> None:
    running = start(tmp_path, SLEEP)
    wait_for(lambda: says_up(tmp_path))
    assert running.alive() and os.getsid(running.pid) != os.getsid(0)
    assert process.read(tmp_path / "run/x.pid") == running
    process.stop(running)
    assert not running.alive()


def test_its_memory_is_known_while_its_children_come_and_go(tmp_path: Path) -> None:
    running = start(tmp_path, COMES_AND_GOES)
    wait_for(lambda: says_up(tmp_path))
    try:
        assert all(running.memory() > 1e6 for _ in range(1000))
    finally:
        process.stop(running)
    assert running.memory() == 0


def test_kills_what_does_not_stop_with_its_children(tmp_path: Path) -> None:
    running = start(
        tmp_path, f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);" + STUBBORN
    )
    wait_for(lambda: (tmp_path / "logs/x.log").read_text().count("up") == 2)
    [child] = psutil.Process(running.pid).children()
    process.stop(running, within=0.2)
    assert not running.alive()
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_never_touches_a_reused_pid(tmp_path: Path) -> None:
    running = start(tmp_path, SLEEP)
    stale = replace(running, started=running.started - 1)
    process.stop(stale)
    assert not stale.alive() and running.alive()
    process.stop(running)


def test_a_killed_child_is_not_alive(tmp_path: Path) -> None:
    running = start(tmp_path, SLEEP)
    os.kill(running.pid, signal.SIGKILL)
    wait_for(lambda: not running.alive())
    process.stop(running)  # nothing left to stop


def test_reads_only_whole_pid_files(tmp_path: Path) -> None:
    file = tmp_path / "x.pid"
    assert process.read(file) is None
    for broken in ("", "123\n", '{"pid": 1}', "[]"):
        file.write_text(broken)
        assert process.read(file) is None
    file.write_text(json.dumps({"pid": 1, "started": 2, "port": 3}))
    assert process.read(file) == Running(1, 2, 3)


def test_waits_until_the_check_passes(tmp_path: Path) -> None:
    running = start(tmp_path, SLEEP)
    answers = iter([Unavailable("not yet"), Unavailable("not yet"), None])

    def check() -> None:
        if answer := next(answers):
            raise answer

    process.wait_ready("x", running, check, tmp_path / "logs/x.log")
    assert next(answers, "used up") == "used up"
    process.stop(running)


def never() -> None:
    raise Unavailable("refused")


def test_says_why_a_server_died(tmp_path: Path) -> None:
    running = start(tmp_path, "print(*range(50), sep='\\n', flush=True); raise SystemExit('no space left')")
    with pytest.raises(Unavailable, match=r"x died while starting; the end of .*x\.log:\n36\n(.*\n)*no space left"):
        process.wait_ready("x", running, never, tmp_path / "logs/x.log")


def test_says_why_a_server_is_late(tmp_path: Path) -> None:
    running = start(tmp_path, SLEEP)
    with pytest.raises(Unavailable, match=r"x is not ready after 0 s \(refused\)"):
        process.wait_ready("x", running, never, tmp_path / "logs/x.log", within=0)
    process.stop(running)


def test_servers_do_not_inherit_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FINNHUB_TOKEN", "hush")
    launch = Launch([sys.executable, "-c", "import os; print(dict(os.environ), 'up')"], env={"EXTRA": "yes"})
    running = process.start(launch, tmp_path / "logs/x.log", tmp_path / "run/x.pid", 1)
    wait_for(lambda: says_up(tmp_path))
    log = (tmp_path / "logs/x.log").read_text()
    assert "hush" not in log and "'EXTRA': 'yes'" in log
    process.stop(running)


def test_outlives_who_started_it(tmp_path: Path) -> None:
    code = f"""if True:
        import sys
        from pathlib import Path
        from millrace.stack import process
        launch = process.Launch([sys.executable, "-c", {SLEEP!r}])
        process.start(launch, Path(sys.argv[1], "x.log"), Path(sys.argv[1], "x.pid"), 1)
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    running = process.read(tmp_path / "x.pid")
    assert running and running.alive()
    process.stop(running)
    assert not running.alive()
