"""FastCGI toward backends."""
