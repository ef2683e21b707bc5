"""HTTP messages and wire formats, sans-IO."""
