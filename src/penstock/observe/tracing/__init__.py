"""Spans for OpenTelemetry: who belongs to which trace, how a span is written, how spans reach a collector."""
