An administrator with the right “Settings” can withdraw his “I trust this file”, with his password. The audit trail has both.
