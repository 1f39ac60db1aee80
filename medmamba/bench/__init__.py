"""What `medmamba bench` measures: the scan and the networks, side by side with the peers that are installed."""
