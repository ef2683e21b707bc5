"""A request whose answer is a tunnel: how it opens, and what is left to do when it ends."""
