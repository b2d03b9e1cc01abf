"""Texts out of .parquet files, as data sets of the Hugging Face hub are kept, through pyarrow.

Pages are read as they are needed, so that memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from bertsmith.errors import ConfigError, DataError
from bertsmith.text.lines import file_sha256
from bertsmith.text.record_files import TITLE, TextRecord, require_text_column

_ROWS = 64
"""Held at once."""
_BUFFER_BYTES = 2**20


def require_readable(path: Path) -> None:
    """Raise ConfigError where pyarrow is missing, DataError where `path` is compressed outside."""
    if path.suffix.lower() != ".parquet":
        raise DataError(
            "a .parquet is compressed inside, and cannot be read through another compression",
            where=path,
            mend="unpack it",
        )
    if find_spec("pyarrow") is None:
        raise ConfigError(
            "pyarrow, which reads it, is not installed",
            where=path,
            mend="pip install 'bertsmith[parquet]'",
        )


class ParquetFile:
    """A file's records, and how much of it has been read."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, path.stat().st_size
        self.bytes_read = 0
        """As the share of its rows."""

    def close(self) -> None:
        """Nothing is held open between records."""

    @property
    def sha256(self) -> str:
        """Of the whole file, in hexadecimal."""
        return file_sha256(self._path)

    def records(self, column: str) -> Iterator[TextRecord]:
        """Raises DataError for a damaged file, one without texts in `column`, or a row without."""
        from pyarrow import types
        from pyarrow.parquet import ParquetFile as Reader

        with self._path.open("rb") as file:
            with self._problems():
                reader = Reader(file, buffer_size=_BUFFER_BYTES)
                schema, total = reader.schema_arrow, reader.metadata.num_rows
            require_text_column(schema.names, column, str(self._path))
            kind = schema.field(column).type
            inside = kind.value_type if types.is_dictionary(kind) else kind
            if not types.is_string(inside) and not types.is_large_string(inside):
                raise DataError(
                    f'the column "{column}" holds {kind}, no strings',
                    where=self._path,
                    mend="write texts into it, or leave this file out",
                )
            columns = list(dict.fromkeys([column, *[TITLE] * (schema.names.count(TITLE) == 1)]))
            row = 0
            batches = reader.iter_batches(_ROWS, columns=columns, use_threads=False)
            while True:
                with self._problems():
                    batch = next(batches, None)
                    rows = [] if batch is None else batch.to_pylist()
                if batch is None:
                    break
                for record in rows:
                    row += 1
                    self.bytes_read = self._size * row // total
                    yield self._record(record, column, row)
        self.bytes_read = self._size

    def _record(self, record: dict[str, object], column: str, row: int) -> TextRecord:
        text, title = record[column], record.get(TITLE)
        if not isinstance(text, str):
            raise DataError(
                f'the "{column}" of row {row:,} is null, no string',
                where=self._path,
                mend="leave such rows out, or write an empty text",
            )
        return TextRecord(text, title if isinstance(title, str) else "")

    @contextmanager
    def _problems(self) -> Iterator[None]:
        """Damage is a DataError; what the disk refuses stays an OSError."""
        from pyarrow import ArrowException

        try:
            yield
        except (ArrowException, ValueError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(
                f"no .parquet, or a damaged one ({error})",
                where=self._path,
                mend="fetch or write it again",
            ) from None
