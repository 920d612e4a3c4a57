"""Every notebook from top to bottom, in a kernel of its own, on a topic and a table that were really filled."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from pyspark.sql import SparkSession
from tests.support import MINUTE, now, run_job, sqlite, stored, window

from millrace import config
from millrace.config import Settings
from millrace.ingest import command
from millrace.ingest.run import Options
from millrace.simulate import bluesky, truth
from millrace.simulate.scenario import Scenario

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
WITHIN = 300  # seconds for a cell, on a busy machine
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def sent() -> Scenario:
    """Simulated posts of two days ago, apart from those of other tests: about a thousand a minute."""
    start = window(now()) - timedelta(days=2)
    return Scenario(seed=4_201, rate=20, count=5_000, speed=0, tagged=0.6, start=start, lookback=72)


@pytest.fixture(scope="module")
def filled(kafka: Settings, spark: SparkSession, sent: Scenario, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose table holds what the topic holds."""
    home = tmp_path_factory.mktemp("notebooks")
    with bluesky.running(sent) as url:
        settings = config.load(home=home, kafka_bootstrap=kafka.kafka_bootstrap, bluesky_url=url)
        command.bluesky(settings, Options(limit=3_000, seconds=60), from_cursor=1)
    for job in ("hashtags", "archive"):
        run_job(job, "--once", "--home", str(home), "--bootstrap", kafka.kafka_bootstrap)
    return home


@pytest.fixture(scope="module")
def executed(kafka: Settings, filled: Path) -> dict[str, NotebookNode]:
    """The notebooks with the outputs of this run; a cell that fails fails here."""
    return {path.stem: execute(path, filled, kafka.kafka_bootstrap) for path in NOTEBOOKS}


def execute(path: Path, home: Path, bootstrap: str) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    beside = {"metadata": {"path": str(path.parent)}}  # where Jupyter starts a kernel
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MILLRACE_HOME", str(home))
        environment.setenv("MILLRACE_KAFKA_BOOTSTRAP", bootstrap)
        return NotebookClient(notebook, timeout=WITHIN, resources=beside).execute()


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def shown(notebook: NotebookNode) -> str:
    """All text that the cells returned."""
    return "\n".join(output.data.get("text/plain", "") for output in outputs(notebook) if "data" in output)


@each
def test_is_committed_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert outputs(notebook) == []
    assert {cell.execution_count for cell in notebook.cells if cell.cell_type == "code"} == {None}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@each
def test_runs_without_a_warning(path: Path, executed: dict[str, NotebookNode]) -> None:
    errors = [output.text for output in outputs(executed[path.stem]) if output.get("name") == "stderr"]
    assert "Warning" not in "".join(errors)


def test_hashtags_are_plotted(executed: dict[str, NotebookNode]) -> None:
    pictures = [output for output in outputs(executed["01-hashtags"]) if "image/png" in output.get("data", {})]
    assert len(pictures) == 2
    assert all(len(picture.data["image/png"]) > 5_000 for picture in pictures)


def test_hashtags_show_the_table(executed: dict[str, NotebookNode], filled: Path) -> None:
    totals: Counter[str] = Counter()
    for (_, hashtag), posts in stored(sqlite(filled)).items():
        totals[hashtag] += posts
    for hashtag, posts in totals.most_common(5):
        assert re.search(rf"^{re.escape(hashtag)} +{posts}$", shown(executed["01-hashtags"]), re.MULTILINE)


def test_hashtags_replay_equals_live(executed: dict[str, NotebookNode]) -> None:
    found = re.search(r"(\d+) counts compared; replay equals live: (\w+)", shown(executed["01-hashtags"]))
    assert found
    assert int(found[1]) > 100
    assert found[2] == "True"


def test_the_archive_is_whole_and_equals_the_topic(executed: dict[str, NotebookNode], filled: Path) -> None:
    notebook = executed["03-archive"]
    found = re.search(r"(\d+) counts compared; archive equals topic: (\w+)", shown(notebook))
    assert found and int(found[1]) > 100 and found[2] == "True"
    assert "('0 faults', [])" in shown(notebook)


def test_the_table_that_they_show_is_the_truth(filled: Path, sent: Scenario) -> None:
    """The third minute was cut off by --limit."""
    start = datetime.fromtimestamp(sent.start_us / 1e6, UTC)
    minutes = {start, start + MINUTE}
    right = {
        (datetime.fromisoformat(line["window_start"]), line["hashtag"]): line["posts"]
        for line in truth.truth(sent)
        if "hashtag" in line
    }
    found = stored(sqlite(filled))
    assert {key: found[key] for key in found if key[0] in minutes} == {
        key: right[key] for key in right if key[0] in minutes
    }


def test_hashtags_say_what_fills_the_table(kafka: Settings, tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="make demo"):
        execute(FOLDER / "01-hashtags.ipynb", tmp_path, kafka.kafka_bootstrap)
