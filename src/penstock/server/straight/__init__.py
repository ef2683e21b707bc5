"""The straight way of a plain request: from its head to its answer, or its tunnel, without a coroutine."""
