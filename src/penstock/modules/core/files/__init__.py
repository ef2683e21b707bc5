"""Where a file is: not above its root, and not behind links that may not be there."""
