"""Where data comes from, how it is read, split, and turned into inputs."""
