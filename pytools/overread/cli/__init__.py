"""The command line: `overread NOUN VERB`, one module per noun."""
