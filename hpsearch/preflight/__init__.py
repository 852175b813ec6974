"""What is looked at before a search: the data, the device, the first epochs."""

__all__: list[str] = []
