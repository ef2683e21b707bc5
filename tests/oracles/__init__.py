"""Programs nobody here wrote, to compare with."""
