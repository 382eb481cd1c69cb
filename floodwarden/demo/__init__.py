"""The whole loop on one machine, an attack included: a shop behind two limiters, its customers, and four strangers.

traffic (pure: who asks what, when) -> driver (sends it) -> two nodes (the shop behind the limiter's middleware)
-> stream -> enforcer -> the nodes again; watch follows what happens, verdict (pure) judges it, run wires it all.
"""
