"""Regular expressions in PCRE's spelling, matched by PCRE2 or by Python."""
