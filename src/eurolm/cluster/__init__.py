"""Machines one submits jobs to: profiles, plan, preflight, rendering, submission, status."""
