"""One pair from its files to a folder with the result, and batches of pairs."""
