"""Parquet files as they are written and read."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamsweep.tables import parquet
from dreamsweep.tables.parquet import parquet_bytes, read_parquet
from dreamsweep.tables.schemas import EMBEDDINGS, SCORES


@pytest.mark.parametrize(("schema", "plain"), [(EMBEDDINGS, {"vector.list.element"}), (SCORES, set())])
def test_all_but_embeddings_is_compressed(schema: pa.Schema, plain: set[str]) -> None:
    row = {field.name: [0.5] if pa.types.is_list(field.type) else None for field in schema}
    written = pq.ParquetFile(pa.BufferReader(parquet_bytes(pa.Table.from_pylist([row], schema=schema))))
    columns = [written.metadata.row_group(0).column(number) for number in range(written.metadata.num_columns)]
    assert {column.path_in_schema for column in columns if column.compression == "UNCOMPRESSED"} == plain
    assert {column.path_in_schema for column in columns if "RLE_DICTIONARY" not in column.encodings} >= plain
    assert written.read().to_pylist() == [row]


def test_a_file_is_read_whole_or_by_column_and_a_damaged_one_is_refused() -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    data = parquet_bytes(table)
    assert read_parquet(data).equals(table)
    assert read_parquet(data, ["b"]).equals(table.select(["b"]))
    for damaged in (data[:-1], data[:20], b""):
        with pytest.raises(pa.ArrowInvalid):
            read_parquet(damaged)
    with pytest.raises(pa.ArrowInvalid, match="no column 'c'"):
        read_parquet(data, ["a", "c"])


def test_nothing_reads_tables_in_threads_of_pyarrow() -> None:
    """Such a thread may end a process that has done its work with SIGABRT: up to one in ten, on a busy machine, with BytesIO."""
    package = Path(parquet.__file__).parents[1]
    assert [path.name for path in package.rglob("*.py") if "pq.read_table(" in path.read_text()] == []


def with_flipped_bit(data: bytes, column: int = 0) -> bytes:
    """Returns a Parquet file with another bit in the last values of a column."""
    chunk = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(column)
    at = (chunk.dictionary_page_offset or chunk.data_page_offset) + chunk.total_compressed_size - 1
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("vector", [False, True])
def test_a_flipped_bit_in_a_page_is_noticed(column: int, vector: bool) -> None:
    columns = {"a": [float(n) for n in range(500)], "b": [f"text {n % 7}" for n in range(500)]}
    table = pa.table({**columns, "vector": [[0.5]] * 500} if vector else columns)
    with pytest.raises(pa.ArrowInvalid, match="CRC checksum"):
        read_parquet(with_flipped_bit(parquet_bytes(table), column))


def with_flipped_footer(data: bytes) -> bytes:
    """Returns a Parquet file whose footer is no Thrift structure any more, by one bit."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:start] + bytes([data[start] ^ 0x40]) + data[start + 1 :]


def test_a_bit_flipped_anywhere_is_refused_or_changes_no_value() -> None:
    table = pa.table({"a": [1, 2, 3], "b": ["x", None, "y"], "c": [[0.5], [], [1.5]]})
    data = parquet_bytes(table)
    refused = 0
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]
        try:
            read_parquet(flipped)
        except pa.ArrowInvalid:
            refused += 1
    assert refused > len(data) / 4
    with pytest.raises(pa.ArrowInvalid, match="thrift"):
        read_parquet(with_flipped_footer(data))


def test_a_table_without_checksums_is_read() -> None:
    table, sink = pa.table({"a": [1, 2]}), pa.BufferOutputStream()
    pq.write_table(table, sink)
    assert read_parquet(bytes(sink.getvalue())).equals(table)
