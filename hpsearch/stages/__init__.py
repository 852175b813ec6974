"""What a search does next: stages, finish, packing. Pure functions."""
