"""What of this program is imported, and when."""
