"""What stands, in the words of the gateways and firewalls that ask CrowdSec's local API for decisions."""
