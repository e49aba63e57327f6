"""Tables of a sweep: their schemas, and Parquet to and from a store."""
