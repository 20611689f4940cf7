-- The session that a note waits for; null for the main one of the default agent.
ALTER TABLE system_events ADD COLUMN session TEXT;
-- The run that tells it to the agent: once that run is journaled, the note is gone.
ALTER TABLE system_events ADD COLUMN claim TEXT;
