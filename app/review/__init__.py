"""What a review is: plain functions on frozen values. No network, clock, settings or log."""
