"""What is minimized, by what it trains: `lite` and its motion, `base` and FOMM, a discriminator."""
