"""A second service, which runs in a process with the sample."""
