"""What a cache of answers has to know of HTTP: how long an answer is good, for whom, and how it lies in a file."""
