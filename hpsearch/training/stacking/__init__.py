"""Many candidates of one shape trained as one."""

__all__: list[str] = []
