"""What several machines agree on, over Redis or Valkey: places, rates, sessions, quotas, drains, questions."""
