"""Names looked up in DNS, again and again."""
