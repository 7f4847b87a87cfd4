"""What a competition is and how a download is read."""
