"""What a model costs: multiply-adds, time, and what the machine can do at best."""
