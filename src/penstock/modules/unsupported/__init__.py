"""Directives of modules that are not here: what each is refused or accepted for, and what serves instead."""
