"""What was seen of a model: ledger, statistics, evidence pack."""
