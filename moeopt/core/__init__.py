"""What every wing shares: results, errors, stop criteria, progress and the method registry."""
