"""The command: nginx's flags, and the subcommands."""
