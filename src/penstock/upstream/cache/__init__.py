"""Answers that are kept in files, and what writes and reads them."""
