"""What svcreg costs and how fast it is, measured beside others; run by script/bench."""
