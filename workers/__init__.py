"""The worker and clock processes: jobs, retry policy and schedule. No business rules."""
