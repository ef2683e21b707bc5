"""Answers of our own: files, indexes, try_files, mirror."""
