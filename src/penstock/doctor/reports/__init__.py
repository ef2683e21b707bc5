"""Findings as text, JSON, SARIF, and their pages."""
