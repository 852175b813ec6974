"""What a search teaches: its report, its diagnosis, what mattered, and the study to run next."""

__all__: list[str] = []
