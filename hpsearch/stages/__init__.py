"""What a search does next: stages, finish, packing. Pure functions."""

__all__: list[str] = []
