"""A WebSocket whose backend is lost goes on with another: what of it is kept, and what goes to whom. Sans-IO."""
