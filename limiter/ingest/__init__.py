"""Decisions of gateways that do not use our limiter: from Kafka, files and HTTP into `decisions`, in columns."""
