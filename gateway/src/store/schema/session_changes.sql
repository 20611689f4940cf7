-- Which sessions look different in lists since when: the newest changes, whoever made them. Whoever keeps rows prepared reads again
-- what is named here after the number it has seen; whoever has not seen the oldest number here reads everything.
CREATE TABLE session_changes (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL
) STRICT;
CREATE TRIGGER session_changes_few AFTER INSERT ON session_changes BEGIN
    DELETE FROM session_changes WHERE number <= NEW.number - 4096;
END;
CREATE TRIGGER session_added AFTER INSERT ON sessions BEGIN
    INSERT INTO session_changes (key) VALUES (NEW.key);
END;
CREATE TRIGGER session_changed AFTER UPDATE ON sessions BEGIN
    INSERT INTO session_changes (key) VALUES (NEW.key);
END;
CREATE TRIGGER session_removed AFTER DELETE ON sessions BEGIN
    INSERT INTO session_changes (key) VALUES (OLD.key);
END;
-- What is said changes how the sessions are shown that have the conversation.
CREATE TRIGGER session_titled AFTER INSERT ON transcripts
WHEN NEW.title IS NOT NULL OR NEW.preview IS NOT NULL BEGIN
    INSERT INTO session_changes (key) SELECT key FROM sessions WHERE session_id = NEW.session_id;
END;
CREATE TRIGGER session_retitled AFTER UPDATE ON transcripts
WHEN NEW.title IS NOT OLD.title OR NEW.preview IS NOT OLD.preview BEGIN
    INSERT INTO session_changes (key) SELECT key FROM sessions WHERE session_id = NEW.session_id;
END;
CREATE TRIGGER session_untitled AFTER DELETE ON transcripts BEGIN
    INSERT INTO session_changes (key) SELECT key FROM sessions WHERE session_id = OLD.session_id;
END;
