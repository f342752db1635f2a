"""Server rooms: what stands between the network and the pages."""
