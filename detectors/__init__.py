"""Arrays in, findings out: the evidence engine and the forest. No clock, no wire, no log, no text."""
