"""A configuration as rules see it: levels, maps, traffic, patterns, versions of nginx."""
