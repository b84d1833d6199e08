"""What must never be blocked: hosts that members make known, and what their lists suppress."""
