"""What has been trained and predicted so far, and its local and leaderboard scores."""
