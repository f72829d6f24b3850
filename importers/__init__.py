"""What turns other people's checkpoints into policy packages. Nothing here is needed at run time."""
