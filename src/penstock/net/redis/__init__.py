"""A connection to Redis or Valkey on the loop: opened by their library in a thread, used without waiting."""
