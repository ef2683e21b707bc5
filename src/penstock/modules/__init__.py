"""One file per nginx module: its directives, how they compile, what they do, in that order."""
