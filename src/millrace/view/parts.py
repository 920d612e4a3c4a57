"""What the pages are made of: figures, tables, parts side by side, and what a reader chooses among."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pandas as pd
import streamlit as st
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_numeric_dtype
from streamlit.column_config import Column, DatetimeColumn, NumberColumn
from streamlit.elements.lib.column_types import ColumnConfig

CLOCK = "YYYY-MM-DD HH:mm:ss [UTC]"
T = TypeVar("T")


def line() -> Any:
    """Return what puts its parts side by side, and one below the other on a phone."""
    return st.container(horizontal=True, gap="medium")


def choose(label: str, options: Sequence[T], key: str, show: Callable[[T], str] = str) -> T:
    """Let the reader choose among several options; there must be one."""
    if len(options) == 1:
        return options[0]
    chosen = st.selectbox(label, options, key=key, format_func=show, width=260)
    return options[0] if chosen is None else chosen


def until(moments: Any, what: str, last: str = "up to") -> None:
    """Say until when the data goes."""
    st.caption(f"{what} {last} {moments.max():%Y-%m-%d %H:%M:%S} UTC")


def column(values: pd.Series) -> ColumnConfig:
    """Return how values are shown: their name as words, times in UTC, numbers with their thousands apart."""
    label = str(values.name).replace("_", " ")
    if is_datetime64_any_dtype(values):
        return DatetimeColumn(label, format=CLOCK, timezone="UTC")
    if is_numeric_dtype(values) and not is_bool_dtype(values):
        return NumberColumn(label, format="localized")
    return Column(label)


def grid(rows: pd.DataFrame, title: str, columns: dict[str, ColumnConfig] | None = None, **more: Any) -> None:
    """Draw rows as a table, `columns` as they say; `more` goes to Streamlit."""
    shown = {name: column(rows[name]) for name in rows.columns} | (columns or {})
    st.dataframe(rows, hide_index=True, alt=title, placeholder="", column_config=shown, **more)


def figures(values: dict[str, str]) -> None:
    """Draw values side by side, each below its name."""
    with line():
        for label, value in values.items():
            st.metric(label, value, width="content")
