"""Where results live and how they get there: atomic files, sealed directories, hashes, manifests, leases, ledger."""
