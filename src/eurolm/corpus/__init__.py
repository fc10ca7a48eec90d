"""From text as sources give it to clean documents: normalise, language, quality, duplicates, held-out split, shards."""
