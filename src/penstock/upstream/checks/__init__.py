"""Active checks: asking backends how they are, before requests find out."""
