"""What monitoring services are told."""
