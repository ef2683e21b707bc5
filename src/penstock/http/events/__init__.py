"""Event streams of HTTP, sans-IO: where events begin and end, and what they say."""
