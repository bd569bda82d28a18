"""The KATO service: sessions, learning and predictions over HTTP, from one processor's memory."""
