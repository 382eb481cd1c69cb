"""The meter: who used how much, minute by minute, for billing and capacity."""
