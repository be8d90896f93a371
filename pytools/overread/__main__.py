"""``python -m overread`` is the command ``overread``."""

from overread.cli.main import main

if __name__ == "__main__":
    main()
