"""SQL functions that each dialect spells in its own way."""

from typing import Any

from sqlalchemy import BigInteger, Float
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement


class seconds_between(FunctionElement[int]):
    """The whole seconds from one time to a later one."""

    type = BigInteger()
    inherit_cache = True


class ratio(FunctionElement[float]):
    """One number divided by another as a double, also when both are integers."""

    type = Float()
    inherit_cache = True


def _pair(element: FunctionElement[Any], compiler: SQLCompiler) -> tuple[str, str]:
    first, second = (compiler.process(clause) for clause in element.clauses)
    return first, second


@compiles(seconds_between, "sqlite")
def _(element: seconds_between, compiler: SQLCompiler, **_kw: Any) -> str:
    start, end = _pair(element, compiler)
    return f"(CAST(strftime('%s', {end}) AS INTEGER) - CAST(strftime('%s', {start}) AS INTEGER))"


@compiles(seconds_between, "mysql", "mariadb")
def _(element: seconds_between, compiler: SQLCompiler, **_kw: Any) -> str:
    start, end = _pair(element, compiler)
    return f"TIMESTAMPDIFF(SECOND, {start}, {end})"


@compiles(seconds_between, "postgresql")
def _(element: seconds_between, compiler: SQLCompiler, **_kw: Any) -> str:
    start, end = _pair(element, compiler)
    return f"CAST(EXTRACT(EPOCH FROM {end} - {start}) AS BIGINT)"


@compiles(ratio)
def _(element: ratio, compiler: SQLCompiler, **_kw: Any) -> str:
    part, whole = _pair(element, compiler)
    return f"({part} * 1e0 / {whole})"  # MySQL before 8.0.17 has no CAST to DOUBLE


@compiles(ratio, "postgresql")
def _(element: ratio, compiler: SQLCompiler, **_kw: Any) -> str:
    part, whole = _pair(element, compiler)
    return f"(CAST({part} AS DOUBLE PRECISION) / {whole})"
