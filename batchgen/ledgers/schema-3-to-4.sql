-- Schema 3 -> 4: each model finds its own queue, however many tasks of another one stand before it.

DROP INDEX tasks_queued;
CREATE INDEX tasks_queued   ON tasks (queued_by, model, position) WHERE state = 'pending';
