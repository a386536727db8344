-- What a command under way has changed so far, as JSON; '' is nothing.
ALTER TABLE commands ADD COLUMN changes TEXT NOT NULL DEFAULT '';
