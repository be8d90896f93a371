"""Building blocks used inside images."""
