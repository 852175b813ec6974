"""What a study will take: a few networks timed on the device, and arithmetic from there."""

__all__: list[str] = []
