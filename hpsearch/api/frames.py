"""Tables and arrays in memory become files beside the database, named by what is in them.

A worker reads them as it reads any file, on SQLite's machine or wherever that folder is seen. The
same content has the same name, so that a study made again from the same table continues.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hpsearch.errors import DataError, line

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["arrays_file", "is_arrays", "is_table", "table_file"]

_DIGITS = 24
"""Of the SHA-256 in a name."""
_BATCH = 1 << 16
"""Rows that are hashed at once: whatever pieces a table came in, its hash is the same."""
_ARRAYS = "X"
"""The array of inputs by its name, as in a file of arrays."""
_TABLES = ("__arrow_c_stream__", "__dataframe__", "to_arrow", "to_pandas")
"""What a table in memory can have: Arrow's stream, the dataframe protocol, and methods."""


def is_table(data: object) -> bool:
    """Whether it is a table in memory: of pandas, polars or Arrow, anything with Arrow's stream or
    the dataframe protocol, or a mapping from names to columns."""
    return isinstance(data, Mapping) or any(hasattr(data, name) for name in _TABLES)


def is_arrays(data: object) -> bool:
    """Whether it is a mapping of arrays, whose inputs, `X`, have two axes or more."""
    return isinstance(data, Mapping) and len(getattr(data.get(_ARRAYS), "shape", ())) > 1


def table_file(data: Any, folder: Path) -> Path:
    """The Parquet file of a table in `folder`, written where it is not there yet.

    An index of pandas is left out: `frame.reset_index()` makes it a column.

    Raises DataError for what is no table, or has columns that Parquet cannot hold.
    """
    import pyarrow.parquet as pq

    table = _table(data)
    if not table.num_columns or not table.num_rows:
        raise DataError(f"the table has {table.num_rows} rows and {table.num_columns} columns")
    digest = _digest_of_table(table)
    return _written(
        folder, f"{digest}.parquet", lambda file: pq.write_table(table, file, compression="zstd")
    )


def arrays_file(data: Mapping[str, Any], folder: Path) -> Path:
    """The .npz file of named arrays in `folder`, written where it is not there yet: `X`, `y`, and
    perhaps `X_test` and `y_test`. Raises DataError for what is no array."""
    import numpy as np

    arrays = {str(name): _array(name, value) for name, value in data.items()}
    hashed = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        hashed.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        hashed.update(array.tobytes())
    return _written(
        folder,
        f"{hashed.hexdigest()[:_DIGITS]}.npz",
        lambda file: np.savez(file, allow_pickle=False, **arrays),
    )


def _table(data: Any) -> pa.Table:
    import pyarrow as pa

    try:
        table = _arrow(data)
    except (pa.ArrowException, TypeError, ValueError, ImportError) as error:
        raise DataError(f"the data cannot be made a table: {line(error)}") from None
    names = [str(name) for name in table.column_names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"the table has two columns called {twice[0]!r}")
    # Without what pandas and others note for themselves, versions of theirs among it; texts of one
    # type, which is another with each of them.
    fields = [field.with_type(_type(field.type)).remove_metadata() for field in table.schema]
    return table.cast(pa.schema(fields)).rename_columns(names)


def _type(kind: pa.DataType) -> pa.DataType:
    import pyarrow as pa

    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _arrow(data: Any) -> pa.Table:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data
    if isinstance(data, Mapping):
        columns = {str(name): _column(value) for name, value in data.items()}
        return pa.table(columns)
    if type(data).__module__.partition(".")[0] == "pandas":
        named = data.rename(columns=str)
        return pa.Table.from_pandas(named, preserve_index=False)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    if hasattr(data, "to_arrow"):
        return pa.table(data.to_arrow())
    if hasattr(data, "to_pandas"):
        return _arrow(data.to_pandas())
    from pyarrow.interchange import from_dataframe

    return from_dataframe(data)


def _column(value: Any) -> Any:
    """A column of a mapping: lists and Arrow's arrays as they are, others as NumPy sees them."""
    import numpy as np
    import pyarrow as pa

    if isinstance(value, (list, tuple, pa.Array, pa.ChunkedArray)):
        return value
    array = np.asarray(value)
    return array.tolist() if array.dtype.kind in "OUS" else array


def _array(name: object, value: Any) -> NDArray[Any]:
    import numpy as np

    array: np.ndarray[Any, Any] = np.asarray(value)
    if array.dtype.kind == "O":  # texts, as pandas holds them; others would be pickled
        if not all(isinstance(item, str) for item in array.flat):
            raise DataError(f"the array {name} has values that are neither numbers nor texts")
        array = array.astype(str)
    if not array.size:
        raise DataError(f"the array {name} is empty")
    return array


class _Hash:
    """A file that is written to and only hashed."""

    closed = False

    def __init__(self) -> None:
        self.hashed = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.hashed.update(data)
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False


def _digest_of_table(table: pa.Table) -> str:
    """Of the content as Arrow streams it, not of the file: that differs from version to version."""
    import pyarrow as pa

    sink = _Hash()
    with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), table.schema) as stream:
        for batch in table.combine_chunks().to_batches(max_chunksize=_BATCH):
            stream.write_batch(batch)
    return sink.hashed.hexdigest()[:_DIGITS]


def _written(folder: Path, name: str, write: Callable[[IO[bytes]], object]) -> Path:
    """The file of that name, written beside and renamed where it is not there."""
    path = folder / name
    if path.exists():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
            Path(beside).replace(path)
        finally:
            Path(beside).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"the data cannot be written to {folder}: {line(error)}") from None
    except Exception as error:  # Arrow's, of types that Parquet does not have
        raise DataError(f"the data cannot be kept as a file: {line(error)}") from None
    return path
