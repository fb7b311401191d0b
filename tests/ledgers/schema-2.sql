-- Schema 2 of ledger.sqlite. docs/ledger.md explains it; PRAGMA user_version holds the number.

CREATE TABLE job (             -- what the ledger knows of the job itself
  key   TEXT PRIMARY KEY,      -- job, manifest, provider, host
  value TEXT NOT NULL
) STRICT;

CREATE TABLE runs (
  run_id     TEXT PRIMARY KEY,
  manifest   TEXT NOT NULL,    -- the manifest's path, relative to the job's folder
  provider   TEXT NOT NULL,
  host       TEXT NOT NULL,
  started    TEXT NOT NULL,    -- UTC, as every moment here
  ended      TEXT,
  stopped_by TEXT
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
  fingerprint     TEXT NOT NULL,
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
  pictures        TEXT NOT NULL DEFAULT '[]' -- JSON: [references, mask], each [file, sha256, bytes, type, width, height]
) STRICT;

CREATE INDEX tasks_queued   ON tasks (queued_by, position) WHERE state = 'pending';
CREATE INDEX tasks_position ON tasks (position, task_id) WHERE in_manifest = 1;

CREATE TABLE attempts (                      -- one row a request, never reused, never deleted
  attempt_id         TEXT PRIMARY KEY,       -- sent as X-Client-Request-Id
  task_id            TEXT NOT NULL COLLATE NOCASE,
  fingerprint        TEXT NOT NULL,
  number             INTEGER NOT NULL,
  run_id             TEXT NOT NULL,
  idempotency_key    TEXT NOT NULL,
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
  possible_duplicate INTEGER NOT NULL
) STRICT;

CREATE INDEX attempts_task ON attempts (task_id);
CREATE INDEX attempts_run  ON attempts (run_id);
CREATE INDEX attempts_open ON attempts (state) WHERE state IN ('sent', 'received');
CREATE INDEX attempts_lost ON attempts (fingerprint) WHERE class = 'unknown';

CREATE TABLE images (                        -- paid images on disk, superseded ones included
  attempt_id  TEXT PRIMARY KEY,
  task_id     TEXT NOT NULL COLLATE NOCASE,
  fingerprint TEXT NOT NULL,
  file        TEXT NOT NULL,                 -- relative to the job's folder
  sha256      TEXT NOT NULL,
  size_bytes  INTEGER NOT NULL,
  mtime_ns    INTEGER NOT NULL,
  media_type  TEXT NOT NULL,
  extension   TEXT NOT NULL,
  width       INTEGER NOT NULL,
  height      INTEGER NOT NULL,
  cost_usd    REAL,
  current     INTEGER NOT NULL               -- 1 under its task's final name, 0 in superseded/
) STRICT;

CREATE UNIQUE INDEX images_current ON images (task_id) WHERE current = 1;
CREATE INDEX images_fingerprint    ON images (fingerprint);

PRAGMA user_version = 2;
