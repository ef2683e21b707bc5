"""Server-side includes: pages that are put together on their way out (`ssi`)."""
