"""docker/superset: charts ask for what the tables have, dashboards show charts that are there."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from millrace import config, stack
from millrace.cli import app
from millrace.errors import ConfigError
from millrace.sinks.sql import ddl, tables
from millrace.sinks.sql.views import VIEWS

DOCKER = Path(__file__).parents[2] / "docker"
ASSETS = DOCKER / "superset" / "assets"


def load(folder: str) -> dict[str, dict[str, Any]]:
    found = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ASSETS / folder).rglob("*.yaml"))}
    assert found
    return found


DATASETS, CHARTS, DASHBOARDS = load("datasets"), load("charts"), load("dashboards")
BY_UUID = {dataset["uuid"]: dataset for dataset in DATASETS.values()}
WINDOWS = "windows.sql"  # some rows of a table
VIRTUAL = {name for name, dataset in DATASETS.items() if dataset["sql"] not in (None, WINDOWS)}
each_chart = pytest.mark.parametrize("chart", CHARTS.values(), ids=CHARTS)
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)


def relation(name: str) -> Any:
    """Return the table or view `name` of the sinks, with its columns."""
    return VIEWS[name](tables.metadata.tables).subquery() if name in VIEWS else tables.metadata.tables[name]


@pytest.mark.parametrize("name", sorted(DATASETS.keys() - VIRTUAL))
def test_a_dataset_has_the_columns_of_its_table(name: str) -> None:
    dataset = DATASETS[name]
    real = [column["column_name"] for column in dataset["columns"] if "expression" not in column]
    assert dataset["table_name"] == name and real == relation(name).columns.keys()
    assert dataset["main_dttm_col"] in {column["column_name"] for column in dataset["columns"] if column["is_dttm"]}


def test_every_view_and_all_that_jobs_write_is_a_dataset() -> None:
    assert DATASETS.keys() - VIRTUAL == set(VIEWS) | tables.metadata.tables.keys() - {
        "symbols",
        "candle_windows",
        "millrace_schema",
    }


def test_what_is_added_up_is_of_windows_that_do_not_overlap() -> None:
    assert (DOCKER / "superset" / WINDOWS).exists()
    for name, dataset in DATASETS.items():
        columns = {column["column_name"] for column in dataset["columns"]}
        if {"source", "window_start"} <= columns and dataset["sql"] != WINDOWS:
            assert not [each for each in dataset["metrics"] if "SUM(" in each["expression"]], name


@each_chart
def test_a_curve_is_of_full_windows(chart: dict[str, Any]) -> None:
    """The newest window, which still fills, would look like a fall."""
    if BY_UUID[chart["dataset_uuid"]]["sql"] == WINDOWS and "x_axis" in chart["params"]:
        for name in {"adhoc_filters", "adhoc_filters_b"} & chart["params"].keys():
            told = {each["subject"]: each["comparator"] for each in chart["params"][name]}
            assert told.keys() & {"is_full", "minute_is_full"} and 1 in told.values()


def test_the_close_is_that_of_the_newest_candle() -> None:
    closes = [each["expression"] for dataset in DATASETS.values() for each in dataset["metrics"]
              if each["metric_name"] == "Close"]  # fmt: skip
    assert len(closes) == 3 and all("ORDER BY window_start DESC" in each for each in closes)


def test_identities_are_unique_and_lead_to_what_is_there() -> None:
    [database] = load("databases").values()
    everything = [database, *DATASETS.values(), *CHARTS.values(), *DASHBOARDS.values()]
    assert len({each["uuid"] for each in everything}) == len(everything)
    assert {dataset["database_uuid"] for dataset in DATASETS.values()} == {database["uuid"]}
    assert {chart["dataset_uuid"] for chart in CHARTS.values()} <= BY_UUID.keys()


@each_chart
def test_a_chart_asks_for_columns_and_metrics_of_its_dataset(chart: dict[str, Any]) -> None:
    dataset, params = BY_UUID[chart["dataset_uuid"]], chart["params"]
    columns = {column["column_name"] for column in dataset["columns"]}
    metrics = {metric["metric_name"] for metric in dataset["metrics"]}
    assert params["viz_type"] == chart["viz_type"]
    names = ("groupby", "groupby_b", "all_columns")
    assert {column for name in names for column in params.get(name, [])} <= columns
    assert {params.get("x_axis", dataset["main_dttm_col"])} <= columns
    asked = [*params.get("metrics", []), *params.get("metrics_b", []), params.get("metric")]
    assert {metric for metric in asked if metric} <= metrics
    filters = [*params["adhoc_filters"], *params.get("adhoc_filters_b", [])]
    assert {each["subject"] for each in filters} <= columns
    assert dataset["main_dttm_col"] in {each["subject"] for each in filters if each["operator"] == "TEMPORAL_RANGE"}


@each_chart
def test_times_name_their_zone_and_texts_are_no_html(chart: dict[str, Any]) -> None:
    params = chart["params"]
    assert params.get("allow_render_html") is (False if chart["viz_type"] == "table" else None)
    if "x_axis" in params:
        assert params["x_axis_title"] == "UTC" and params["tooltipTimeFormat"].endswith(" UTC")
    if chart["viz_type"] == "big_number_total":
        assert params["time_format"].endswith(" UTC")


def test_every_chart_is_on_one_dashboard() -> None:
    shown = [item["meta"]["uuid"] for each in DASHBOARDS.values() for item in items(each, "CHART")]
    assert sorted(shown) == sorted(chart["uuid"] for chart in CHARTS.values())


def items(dashboard: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in dashboard["position"].values() if isinstance(item, dict) and item["type"] == kind]


@each_dashboard
def test_rows_are_as_wide_as_the_page(dashboard: dict[str, Any]) -> None:
    for row in items(dashboard, "ROW"):
        assert sum(dashboard["position"][child]["meta"]["width"] for child in row["children"]) == 12


@each_dashboard
def test_it_refreshes_and_shows_the_last_hour_but_for_the_tile(dashboard: dict[str, Any]) -> None:
    assert dashboard["metadata"]["refresh_frequency"] == 10
    [note] = items(dashboard, "MARKDOWN")
    assert "UTC" in note["meta"]["code"]
    filters = {each["filterType"]: each for each in dashboard["metadata"]["native_filter_configuration"]}
    time = filters["filter_time"]
    assert time["defaultDataMask"]["extraFormData"] == {"time_range": 'DATEADD(DATETIME("now"), -1, hour) : now'}
    [tile] = [item["meta"] for item in items(dashboard, "CHART") if "data_up_to" in item["id"]]
    assert tile["sliceNameOverride"] == "Data up to" and time["scope"]["excluded"] == [tile["chartId"]]


@each_dashboard
def test_filters_are_of_columns_that_are_there(dashboard: dict[str, Any]) -> None:
    for each in dashboard["metadata"]["native_filter_configuration"]:
        for target in filter(None, each["targets"]):
            columns = {column["column_name"] for column in BY_UUID[target["datasetUuid"]]["columns"]}
            assert target["column"]["name"] in columns


def test_the_script_of_tables_is_what_the_sinks_make() -> None:
    written = (DOCKER / "mysql" / "tables.sql").read_text()
    assert written == ddl.script(), "write it anew: python -m millrace.sinks.sql.ddl > docker/mysql/tables.sql"
    made = re.findall(r"CREATE (?:TABLE|VIEW) (\w+)", written)
    assert set(made) == tables.metadata.tables.keys() | VIEWS.keys()


def test_the_image_and_the_environment_have_one_release() -> None:
    pins = dict(line.split("==") for line in (DOCKER / "superset" / "constraints.txt").read_text().splitlines())
    image = (DOCKER / "superset" / "Dockerfile").read_text()
    assert f"FROM apache/superset:{pins['apache-superset']}\n" in image and f"pymysql=={pins['pymysql']}\n" in image
    service = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["superset"]
    assert service["image"] == f"millrace/superset:{pins['apache-superset']}"


def test_up_and_down_say_what_starts_and_stops_superset(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such server: superset; .*`make superset` starts Superset"):
        stack.up(["superset"], config.load(home=tmp_path))
    assert "make superset" in CliRunner().invoke(app, ["down", "--help"], env={"COLUMNS": "200"}).stdout
