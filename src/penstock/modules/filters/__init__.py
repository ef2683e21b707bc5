"""What changes an answer on its way out: headers, ranges, compression, substitution, SSI."""
