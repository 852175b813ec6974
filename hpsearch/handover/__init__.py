"""The best network in a folder of its own: written, read again, and asked for predictions."""

__all__: list[str] = []
