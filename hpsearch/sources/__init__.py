"""Where data comes from, how it is read, split, and turned into inputs."""

__all__: list[str] = []
