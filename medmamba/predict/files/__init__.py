"""Files in and out: which belong to a case, what they hold, and label maps written in their place."""
