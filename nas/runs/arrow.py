"""Columns in Arrow files, whose names end with the digest of what they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from nas.runs.encoding import Column, encoded


def whole_file(path: Path) -> Any:
    """Open a file whose name ends with the digest of what it holds; None if it holds something else."""
    try:
        file = pa.OSFile(str(path))
        return file if path.stem.endswith(hashlib.sha256(file.readall()).hexdigest()[:16]) else None
    except OSError:
        return None


def arrow_bytes(given: Mapping[str, Column | Sequence[Any]], about: Mapping[str, Any]) -> bytes:
    """Columns, or the values of some, as an Arrow file."""
    columns = {name: encoded(values) for name, values in given.items()}
    fields = [
        pa.field(name, column.values.type, metadata={"absent": "1" if column.absent else ""})
        for name, column in columns.items()
    ]
    schema = pa.schema(fields, metadata={"nas": json.dumps(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(pa.record_batch([column.values for column in columns.values()], schema=schema))
    return bytes(sink.getvalue())


def columns_in(file: Any, names: Sequence[str] | None) -> dict[str, Column]:
    """Read columns of an Arrow file: those of these names that it has, or all."""
    file.seek(0)
    known = pa.ipc.open_file(file).schema
    wanted = known.names if names is None else [name for name in names if known.get_field_index(name) >= 0]
    if not wanted:
        return {}
    indices = sorted(known.get_field_index(name) for name in wanted)
    file.seek(0)
    # A column is quickly unpacked: to share that between threads takes longer, twice as long on a busy machine.
    reader = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(included_fields=indices, use_threads=False))
    batch = reader.get_batch(0)
    return {name: Column(batch.column(name), known.field(name).metadata[b"absent"] == b"1") for name in wanted}
