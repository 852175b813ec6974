"""Tables of any common kind of file: CSV and its relatives, Parquet, Feather, JSON lines, Excel."""

__all__: list[str] = []
