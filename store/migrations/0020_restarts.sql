-- How often the processes of one type were restarted alone, as JSON: {"web": 2}.
ALTER TABLE apps ADD COLUMN type_epochs TEXT NOT NULL DEFAULT '{}';
