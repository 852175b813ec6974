"""Many candidates of one shape trained as one."""
