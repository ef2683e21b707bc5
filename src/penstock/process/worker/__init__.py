"""A worker: serving, taking up a plan, answering control questions."""
