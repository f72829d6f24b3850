"""Data, training and export of the policies in `models/`. Nothing here is needed at run time."""
