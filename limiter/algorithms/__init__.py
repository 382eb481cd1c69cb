"""Every way to limit: for each a shape (what a policy asks for), a pure function, and the script that Redis runs."""
