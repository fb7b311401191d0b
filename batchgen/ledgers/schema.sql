-- Schema 4 of ledger.sqlite. docs/ledger.md explains it; PRAGMA user_version holds the number.

CREATE TABLE job (             -- what the ledger knows of the job itself
  key   TEXT PRIMARY KEY,      -- job, manifest, provider, host; results, totals and shares as long as they hold
  value TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
  run_id     TEXT PRIMARY KEY,
  manifest   TEXT NOT NULL,    -- the manifest's path, relative to the job's folder
  provider   TEXT NOT NULL,
  host       TEXT NOT NULL,
  started    TEXT NOT NULL,    -- UTC, as every moment here
  ended      TEXT,
  stopped_by TEXT,
  attempts_before INTEGER NOT NULL DEFAULT 0 -- rowid of the last attempt when it began: its own come behind
) STRICT;

CREATE TABLE tasks (
  task_id         TEXT PRIMARY KEY COLLATE NOCASE,
  prompt_id       TEXT NOT NULL,
  position        INTEGER NOT NULL,          -- in the manifest's expansion, from 0
  sample          INTEGER NOT NULL,
  model           TEXT NOT NULL,
  prompt          TEXT NOT NULL,
  parameters      TEXT NOT NULL,             -- JSON
  extra           TEXT NOT NULL,             -- JSON
  tags            TEXT NOT NULL,             -- JSON
  variables       TEXT NOT NULL,             -- JSON
  price           TEXT NOT NULL,             -- JSON
  fingerprint_bytes BLOB NOT NULL,           -- shown by `fingerprint`
  state           TEXT NOT NULL CHECK (state IN ('pending','sent','received','stored','failed','held')),
  class           TEXT,
  reason          TEXT,
  not_before      TEXT,
  queued_by       TEXT,                      -- the last run that queued it
  in_manifest     INTEGER NOT NULL,
  tried           INTEGER NOT NULL,          -- attempts since that run began or `retry` was asked
  unknowns        INTEGER NOT NULL,          -- lost answers of this fingerprint
  resends_allowed INTEGER NOT NULL,
  retry_key       TEXT,                      -- the idempotency key of a lost answer that is sent again
  pictures        TEXT NOT NULL DEFAULT '[]', -- JSON: [references, mask], each [file, sha256, bytes, type, width, height]
  fingerprint TEXT GENERATED ALWAYS AS (lower(hex(fingerprint_bytes))) VIRTUAL
) STRICT;

CREATE INDEX tasks_queued   ON tasks (queued_by, model, position) WHERE state = 'pending';
CREATE INDEX tasks_position ON tasks (position) WHERE in_manifest = 1;
CREATE INDEX tasks_open     ON tasks (state, class, position) WHERE in_manifest = 1 AND (state <> 'stored' OR reason IS NOT NULL);
CREATE INDEX tasks_waiting  ON tasks (not_before) WHERE state = 'pending' AND not_before IS NOT NULL;

CREATE TABLE attempts (                      -- one row a request, never reused, never deleted
  attempt_id_bytes   ANY PRIMARY KEY NOT NULL, -- shown by `attempt_id`, which is sent as X-Client-Request-Id
  task_id            TEXT NOT NULL COLLATE NOCASE,
  fingerprint_bytes  BLOB NOT NULL,          -- shown by `fingerprint`
  number             INTEGER NOT NULL,
  run_id             TEXT NOT NULL,
  idempotency_key_bytes ANY NOT NULL,        -- shown by `idempotency_key`
  state              TEXT NOT NULL CHECK (state IN ('sent','received','stored','failed')),
  class              TEXT,
  reason             TEXT,
  http_status        INTEGER,
  request_id         TEXT,
  url                TEXT,                   -- a secret until it expires
  url_expires        TEXT,
  answer             TEXT,                   -- JSON, of an answer that is a link
  started            TEXT NOT NULL,
  ended              TEXT,
  seconds            REAL,
  reserved_usd       REAL,                   -- the upper bound reserved before the request
  cost_usd           REAL,                   -- settled, or the bound where the money may be gone
  paid               TEXT,                   -- no, maybe, yes
  possible_duplicate INTEGER NOT NULL,
  fingerprint TEXT GENERATED ALWAYS AS (lower(hex(fingerprint_bytes))) VIRTUAL,
  attempt_id TEXT GENERATED ALWAYS AS (CASE typeof(attempt_id_bytes) WHEN 'blob' THEN lower(
    substr(hex(attempt_id_bytes), 1, 8) || '-' || substr(hex(attempt_id_bytes), 9, 4) || '-' || substr(hex(attempt_id_bytes), 13, 4)
    || '-' || substr(hex(attempt_id_bytes), 17, 4) || '-' || substr(hex(attempt_id_bytes), 21)) ELSE attempt_id_bytes END) VIRTUAL,
  idempotency_key TEXT GENERATED ALWAYS AS (CASE typeof(idempotency_key_bytes) WHEN 'blob' THEN lower(
    substr(hex(idempotency_key_bytes), 1, 8) || '-' || substr(hex(idempotency_key_bytes), 9, 4) || '-' || substr(hex(idempotency_key_bytes), 13, 4)
    || '-' || substr(hex(idempotency_key_bytes), 17, 4) || '-' || substr(hex(idempotency_key_bytes), 21)) ELSE idempotency_key_bytes END) VIRTUAL
) STRICT;

CREATE INDEX attempts_task ON attempts (task_id);
CREATE INDEX attempts_open ON attempts (state) WHERE state IN ('sent', 'received');
CREATE INDEX attempts_lost ON attempts (fingerprint) WHERE class = 'unknown';

CREATE TABLE images (                        -- paid images on disk, superseded ones included
  attempt_id_bytes ANY PRIMARY KEY NOT NULL, -- shown by `attempt_id`
  task_id     TEXT NOT NULL COLLATE NOCASE,
  fingerprint_bytes BLOB NOT NULL,           -- shown by `fingerprint`
  file_elsewhere TEXT,                       -- where `file` is not the usual one, relative to the job's folder
  sha256_bytes BLOB NOT NULL,                -- shown by `sha256`
  size_bytes  INTEGER NOT NULL,
  mtime_ns    INTEGER NOT NULL,
  media_type  TEXT NOT NULL,
  extension   TEXT NOT NULL,
  width       INTEGER NOT NULL,
  height      INTEGER NOT NULL,
  cost_usd    REAL,
  current     INTEGER NOT NULL,              -- 1 under its task's final name, 0 in superseded/
  fingerprint TEXT GENERATED ALWAYS AS (lower(hex(fingerprint_bytes))) VIRTUAL,
  attempt_id TEXT GENERATED ALWAYS AS (CASE typeof(attempt_id_bytes) WHEN 'blob' THEN lower(
    substr(hex(attempt_id_bytes), 1, 8) || '-' || substr(hex(attempt_id_bytes), 9, 4) || '-' || substr(hex(attempt_id_bytes), 13, 4)
    || '-' || substr(hex(attempt_id_bytes), 17, 4) || '-' || substr(hex(attempt_id_bytes), 21)) ELSE attempt_id_bytes END) VIRTUAL,
  file        TEXT GENERATED ALWAYS AS (coalesce(file_elsewhere, 'images/' || task_id || '.' || extension)) VIRTUAL,
  sha256      TEXT GENERATED ALWAYS AS (lower(hex(sha256_bytes))) VIRTUAL
) STRICT;

CREATE UNIQUE INDEX images_current ON images (task_id) WHERE current = 1;
CREATE INDEX images_fingerprint    ON images (substr(fingerprint_bytes, 1, 6)); -- enough to find it by
CREATE INDEX images_left           ON images (task_id) WHERE current = 0;

-- What was worked out from these tables holds until one of them changes, whoever changes it.
CREATE TRIGGER tasks_insert AFTER INSERT ON tasks BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER tasks_update AFTER UPDATE ON tasks BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER tasks_delete AFTER DELETE ON tasks BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER attempts_insert AFTER INSERT ON attempts BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER attempts_update AFTER UPDATE ON attempts BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER attempts_delete AFTER DELETE ON attempts BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER images_insert AFTER INSERT ON images BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER images_update AFTER UPDATE ON images BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;
CREATE TRIGGER images_delete AFTER DELETE ON images BEGIN DELETE FROM job WHERE key IN ('results', 'totals', 'shares'); END;

PRAGMA user_version = 4;
