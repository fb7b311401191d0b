-- Schema 1 -> 2: pictures that go along with prompts.
ALTER TABLE tasks ADD COLUMN pictures TEXT NOT NULL DEFAULT '[]';
