"""Envoy's global rate limit service, v3: its messages, what its descriptors mean here, and what it is answered."""
