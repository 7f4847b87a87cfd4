"""Files: tables, predictions, atomic writes, records of provenance, run folders and locks."""
