"""Parquet files as they are written."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dreamsweep.tables.parquet import parquet_bytes
from dreamsweep.tables.schemas import EMBEDDINGS, SCORES


@pytest.mark.parametrize(("schema", "plain"), [(EMBEDDINGS, {"vector.list.element"}), (SCORES, set())])
def test_all_but_embeddings_is_compressed(schema: pa.Schema, plain: set[str]) -> None:
    row = {field.name: [0.5] if pa.types.is_list(field.type) else None for field in schema}
    written = pq.ParquetFile(pa.BufferReader(parquet_bytes(pa.Table.from_pylist([row], schema=schema))))
    columns = [written.metadata.row_group(0).column(number) for number in range(written.metadata.num_columns)]
    assert {column.path_in_schema for column in columns if column.compression == "UNCOMPRESSED"} == plain
    assert {column.path_in_schema for column in columns if "RLE_DICTIONARY" not in column.encodings} >= plain
    assert written.read().to_pylist() == [row]
