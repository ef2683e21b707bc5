"""What every configuration has: main, http, servers, locations, variables, bodies, logs of errors."""
