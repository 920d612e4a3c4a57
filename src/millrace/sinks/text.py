"""Text of Arrow tables: Spark lets bytes pass that are no UTF-8, and no store takes them."""

import pyarrow as pa


def valid(rows: pa.Table) -> pa.Table:
    """Return `rows` with text that is not valid UTF-8 replaced."""
    try:
        rows.validate(full=True)
    except pa.ArrowInvalid:
        for index, field in enumerate(rows.schema):
            if pa.types.is_string(field.type):
                raw = rows.column(index).cast(pa.binary()).to_pylist()
                texts = [None if value is None else value.decode(errors="replace") for value in raw]
                rows = rows.set_column(index, field.name, pa.array(texts, pa.string()))
    return rows
