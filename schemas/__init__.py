"""What crosses a process boundary: messages, topics, Redis keys, codecs, settings. Imports no other room."""
