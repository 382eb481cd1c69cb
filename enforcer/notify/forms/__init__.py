"""A message in the form that each kind of destination documents. Pure; none holds what opens the destination."""
