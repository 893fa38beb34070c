A plan tells a chat (Slack, Microsoft Teams, ntfy) what it says by mail; a button sends a test message.
