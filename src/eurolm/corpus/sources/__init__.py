"""Where text comes from: files, archives and datasets as records with stable ids."""
