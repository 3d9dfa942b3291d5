"""Rules of notifications: types and channels, preferences, the queue of mails, their texts."""
