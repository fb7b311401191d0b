-- Every statement of the ledger: `-- name: purpose`, then the statement.

-- job_set: note a fact of the job
INSERT INTO job (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- job_all: the facts of the job
SELECT key, value FROM job;

-- run_begin: note a run that starts
INSERT INTO runs (run_id, manifest, provider, host, started, attempts_before)
VALUES (:run_id, :manifest, :provider, :host, :started, (SELECT coalesce(max(rowid), 0) FROM attempts));

-- run_end: note a run's end
UPDATE runs SET ended = :ended, stopped_by = :stopped_by WHERE run_id = :run_id;

-- run_last: the run that began last; one that was forgotten and replayed has no manifest
SELECT * FROM runs WHERE manifest <> '' ORDER BY rowid DESC LIMIT 1;

-- stage_create: the manifest's tasks of this process, on disk if they are many
CREATE TEMP TABLE IF NOT EXISTS staged (
  position INTEGER PRIMARY KEY, task_id TEXT NOT NULL UNIQUE COLLATE NOCASE, prompt_id TEXT NOT NULL, sample INTEGER NOT NULL,
  model TEXT NOT NULL, prompt TEXT NOT NULL, parameters TEXT NOT NULL, extra TEXT NOT NULL, tags TEXT NOT NULL,
  variables TEXT NOT NULL, price TEXT NOT NULL, fingerprint TEXT NOT NULL, pictures TEXT NOT NULL);

-- claims_create: spare images that a task of this plan takes
CREATE TEMP TABLE IF NOT EXISTS claimed (attempt_id TEXT PRIMARY KEY);

-- claims_clear: begin a plan
DELETE FROM temp.claimed;

-- stage_insert: take one task of the manifest in
INSERT OR IGNORE INTO temp.staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- stage_holder: the task that has this id already
SELECT * FROM temp.staged WHERE task_id = :task_id;

-- staged_names: ids of staged tasks and of their prompts, in manifest order
SELECT position, task_id, prompt_id FROM temp.staged WHERE position > :after ORDER BY position LIMIT :limit;

-- staged_models: models of the staged tasks
SELECT DISTINCT model FROM temp.staged;

-- twins_count: staged tasks that ask for exactly what an earlier one asks for, further images of a prompt left aside
SELECT coalesce(sum(same - 1), 0) FROM (SELECT count(*) AS same FROM temp.staged WHERE sample = 1 GROUP BY fingerprint);

-- twins: the first of them, each with the position of the earlier one
SELECT s.*, g.earlier FROM temp.staged s
  JOIN (SELECT fingerprint, min(position) AS earlier FROM temp.staged WHERE sample = 1
         GROUP BY fingerprint HAVING count(*) > 1) g ON g.fingerprint = s.fingerprint
 WHERE s.sample = 1 AND s.position > g.earlier ORDER BY s.position LIMIT :limit;

-- staged_at: the staged task at a position
SELECT * FROM temp.staged WHERE position = :position;

-- size: how many tasks the manifest had when it last ran, null for never, and how many it has now
SELECT (SELECT CAST(value AS INTEGER) FROM job WHERE key = 'tasks') AS before, (SELECT count(*) FROM temp.staged) AS now;

-- compare_page: staged tasks with what is known of them
SELECT s.*, t.state, t.fingerprint_bytes AS known, t.class, t.reason, t.not_before,
       t.unknowns >= t.resends_allowed AS resent, t.parameters <> s.parameters AS sent_otherwise,
       CASE WHEN t.state = 'stored' OR t.state IS NULL THEN 0
            ELSE (SELECT count(*) FROM attempts a WHERE a.task_id = s.task_id) END AS attempts,
       i.attempt_id_bytes, i.task_id, i.fingerprint_bytes, i.file, i.sha256_bytes, i.size_bytes, i.mtime_ns, i.media_type,
       i.extension, i.width, i.height, i.cost_usd
  FROM temp.staged s
  LEFT JOIN tasks t ON t.task_id = s.task_id
  LEFT JOIN images i ON i.task_id = s.task_id AND i.current = 1
 WHERE s.position > :after ORDER BY s.position LIMIT :limit;

-- asked: what a task asked for when it was last queued, and whom, as far as its requests or its run tell
SELECT t.*, coalesce(
    (SELECT r.provider FROM attempts a JOIN runs r ON r.run_id = a.run_id
      WHERE a.task_id = t.task_id AND a.fingerprint = t.fingerprint ORDER BY a.rowid DESC LIMIT 1),
    (SELECT r.provider FROM runs r WHERE r.run_id = t.queued_by), '') AS provider
  FROM tasks t WHERE t.task_id = :task_id;

-- priced_alike: an unchanged task of a model that has the price that it was planned with
SELECT 1 FROM temp.staged s JOIN tasks t ON t.task_id = s.task_id AND t.fingerprint = s.fingerprint
 WHERE s.model = :model AND s.price = t.price LIMIT 1;

-- dearer: of a model that has none, the task that rose most
SELECT s.model, s.task_id, json_extract(t.price, '$[1]') AS before_usd, json_extract(s.price, '$[1]') AS now_usd,
       max(json_extract(s.price, '$[1]') - json_extract(t.price, '$[1]')) AS more_usd
  FROM temp.staged s JOIN tasks t ON t.task_id = s.task_id AND t.fingerprint = s.fingerprint
 WHERE s.model = :model HAVING more_usd > 0;

-- spare: a paid image of this fingerprint that no task of the manifest wants under its own name
SELECT i.* FROM images i
 WHERE substr(i.fingerprint_bytes, 1, 6) = substr(digest(:fingerprint), 1, 6) AND i.fingerprint_bytes = digest(:fingerprint)
   AND NOT (i.current = 1 AND i.task_id = :task_id)
   AND NOT EXISTS (SELECT 1 FROM temp.claimed c WHERE c.attempt_id = i.attempt_id)
   AND NOT (i.current = 1 AND EXISTS
            (SELECT 1 FROM temp.staged s WHERE s.task_id = i.task_id AND s.fingerprint = i.fingerprint))
 ORDER BY i.current DESC, i.rowid LIMIT 1;

-- claim: keep a spare image for the task that gets it
INSERT INTO temp.claimed VALUES (:attempt_id);

-- anything: whether any image was ever stored, and whether any request was lost or is open
SELECT EXISTS (SELECT 1 FROM images) AS images,
       EXISTS (SELECT 1 FROM attempts WHERE class = 'unknown') OR
       EXISTS (SELECT 1 FROM attempts WHERE state IN ('sent', 'received')) AS open;

-- image: one image
SELECT * FROM images WHERE attempt_id_bytes = packed(:attempt_id);

-- images_page: every image, superseded ones included
SELECT rowid, * FROM images WHERE rowid > :after AND mtime_ns <> 0 ORDER BY rowid LIMIT :limit;

-- image_places: where images lie; 0 as the time marks one that is known to be lost
SELECT file FROM images WHERE mtime_ns <> 0;

-- images_known: some images as they are noted
SELECT * FROM images WHERE attempt_id_bytes IN (SELECT packed(value) FROM json_each(:ids));

-- images_made: some images with the attempts that brought them
SELECT i.*, a.number, a.run_id, a.started, a.ended, a.http_status, a.request_id, a.possible_duplicate
  FROM images i LEFT JOIN attempts a ON a.attempt_id_bytes = i.attempt_id_bytes
 WHERE i.attempt_id_bytes IN (SELECT packed(value) FROM json_each(:ids));

-- image_lost: an image that is gone or altered; should its file come back, its hash decides
UPDATE images SET current = 0, mtime_ns = 0 WHERE attempt_id_bytes = packed(:attempt_id);

-- attempt_found: the attempt that brought an image which is on the disk
INSERT INTO attempts (attempt_id_bytes, task_id, fingerprint_bytes, number, run_id, idempotency_key_bytes, state, http_status, request_id,
  started, ended, reserved_usd, cost_usd, paid, possible_duplicate)
VALUES (packed(:attempt_id), :task_id, digest(:fingerprint), :number, :run_id, '', 'stored', :http_status, :request_id,
  :started, :ended, :cost_usd, :cost_usd, 'yes', :possible_duplicate)
ON CONFLICT (attempt_id_bytes) DO UPDATE SET state = 'stored', class = NULL, reason = NULL, url = NULL, answer = NULL,
  http_status = excluded.http_status, request_id = excluded.request_id, ended = excluded.ended,
  cost_usd = excluded.cost_usd, paid = 'yes';

-- run_ids: every run that is known
SELECT run_id FROM runs;

-- run_open: the newest run but this one, if nobody noted its end: a backup may have been taken in its middle
SELECT run_id FROM (SELECT * FROM runs WHERE manifest <> '' AND run_id <> :run_id ORDER BY rowid DESC LIMIT 1)
 WHERE ended IS NULL;

-- tasks_failed: tasks whose rows are lost, but not the attempts that failed for good
INSERT OR IGNORE INTO tasks SELECT s.task_id, s.prompt_id, s.position, s.sample, s.model, s.prompt, s.parameters, s.extra,
  s.tags, s.variables, s.price, digest(s.fingerprint), 'failed', a.class, a.reason, NULL, NULL, 1, 0, 0, 1, NULL, s.pictures
  FROM temp.staged s JOIN attempts a ON a.task_id = s.task_id AND a.fingerprint = s.fingerprint
 WHERE a.state = 'failed' AND a.class IN ('refused', 'invalid', 'no_image', 'download')
   AND a.number = (SELECT max(b.number) FROM attempts b WHERE b.task_id = a.task_id AND b.fingerprint = a.fingerprint);

-- run_replayed: a run that was forgotten
INSERT OR IGNORE INTO runs (run_id, manifest, provider, host, started) VALUES (:run_id, '', '', '', :started);

-- attempt_replayed: a request that was forgotten
INSERT OR IGNORE INTO attempts (attempt_id_bytes, task_id, fingerprint_bytes, number, run_id, idempotency_key_bytes, state, started,
  reserved_usd, possible_duplicate)
VALUES (packed(:attempt_id), :task_id, digest(:fingerprint), :number, :run_id, packed(:idempotency_key), 'sent', :started, :reserved_usd,
  :possible_duplicate);

-- task_replayed: its task, as the manifest has it
INSERT OR IGNORE INTO tasks SELECT task_id, prompt_id, position, sample, model, prompt, parameters, extra, tags, variables,
  price, digest(fingerprint), 'pending', NULL, NULL, NULL, NULL, 1, 0, 0, 1, NULL, pictures FROM temp.staged
 WHERE task_id = :task_id AND fingerprint = :fingerprint;

-- task_resent: its task is under way again, unless its image is there
UPDATE tasks SET state = 'sent' WHERE task_id = :task_id AND fingerprint = :fingerprint AND state <> 'stored';

-- attempt_open: a request whose outcome is not known, with the state of its task
SELECT a.attempt_id, a.task_id, a.fingerprint, a.idempotency_key, t.state AS task_state
  FROM attempts a LEFT JOIN tasks t ON t.task_id = a.task_id
 WHERE a.attempt_id_bytes = packed(:attempt_id) AND a.run_id = :run_id AND a.state = 'sent';

-- request_of: what was asked for by an image's task, if it still wants the same
SELECT * FROM tasks WHERE task_id = :task_id AND fingerprint = :fingerprint;

-- removed_count: tasks that are no longer in the manifest
SELECT count(*) FROM tasks t WHERE t.in_manifest = 1
   AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE s.task_id = t.task_id);

-- removed_ids: the first of them
SELECT task_id FROM tasks t WHERE t.in_manifest = 1
   AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE s.task_id = t.task_id) ORDER BY position LIMIT :limit;

-- removed_page: all of them, in their order
SELECT position, rowid AS place, task_id FROM tasks t
 WHERE t.in_manifest = 1 AND t.position >= :position AND (t.position > :position OR t.rowid > :place)
   AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE s.task_id = t.task_id) ORDER BY position, rowid LIMIT :limit;

-- earlier: lost and open requests of a fingerprint, of tasks that want another one now
SELECT a.state, a.idempotency_key FROM (
    SELECT rowid AS place, * FROM attempts WHERE class = 'unknown' AND state = 'failed' AND fingerprint = :fingerprint
    UNION ALL
    SELECT rowid AS place, * FROM attempts WHERE state IN ('sent', 'received') AND fingerprint = :fingerprint) a
 WHERE a.task_id = :task_id OR NOT EXISTS
       (SELECT 1 FROM temp.staged s WHERE s.task_id = a.task_id AND s.fingerprint = a.fingerprint)
 ORDER BY a.place;

-- put_pending: a task that is to be sent; a changed request starts with a clean record
INSERT INTO tasks VALUES (:task_id, :prompt_id, :position, :sample, :model, :prompt, :parameters, :extra, :tags,
  :variables, :price, digest(:fingerprint), 'pending', NULL, NULL, NULL, :queued_by, 1, 0, :lost, 1 + :renewed, :retry_key, :pictures)
ON CONFLICT (task_id) DO UPDATE SET
  prompt_id = excluded.prompt_id, position = excluded.position, sample = excluded.sample, model = excluded.model,
  prompt = excluded.prompt, parameters = excluded.parameters, extra = excluded.extra, tags = excluded.tags,
  variables = excluded.variables, price = excluded.price, pictures = excluded.pictures, in_manifest = 1, state = 'pending', tried = 0,
  queued_by = excluded.queued_by, task_id = excluded.task_id,
  class           = CASE WHEN fingerprint_bytes = excluded.fingerprint_bytes THEN class END,
  reason          = CASE WHEN fingerprint_bytes = excluded.fingerprint_bytes THEN coalesce(reason, :reason) END,
  not_before      = CASE WHEN fingerprint_bytes = excluded.fingerprint_bytes AND NOT :renewed THEN not_before END,
  retry_key       = CASE WHEN fingerprint_bytes = excluded.fingerprint_bytes THEN retry_key ELSE :retry_key END,
  unknowns        = CASE WHEN fingerprint_bytes = excluded.fingerprint_bytes THEN unknowns ELSE :lost END,
  resends_allowed = CASE WHEN fingerprint_bytes = excluded.fingerprint_bytes THEN resends_allowed ELSE 1 END + :renewed,
  fingerprint_bytes = excluded.fingerprint_bytes;

-- put_held: a task whose answer was lost before it had this name, or this request again
INSERT INTO tasks VALUES (:task_id, :prompt_id, :position, :sample, :model, :prompt, :parameters, :extra, :tags,
  :variables, :price, digest(:fingerprint), 'held', 'unknown', :reason, NULL, NULL, 1, 0, :lost, 1, :retry_key, :pictures)
ON CONFLICT (task_id) DO UPDATE SET
  prompt_id = excluded.prompt_id, position = excluded.position, sample = excluded.sample, model = excluded.model,
  prompt = excluded.prompt, parameters = excluded.parameters, extra = excluded.extra, tags = excluded.tags,
  variables = excluded.variables, price = excluded.price, pictures = excluded.pictures, in_manifest = 1, state = 'held', class = 'unknown',
  reason = excluded.reason, not_before = NULL, queued_by = NULL, tried = 0, task_id = excluded.task_id,
  unknowns = excluded.unknowns, resends_allowed = 1, retry_key = excluded.retry_key,
  fingerprint_bytes = excluded.fingerprint_bytes;

-- put_stored: a task whose image is there; while a link of another request of it is open, it stays that request's
INSERT INTO tasks VALUES (:task_id, :prompt_id, :position, :sample, :model, :prompt, :parameters, :extra, :tags,
  :variables, :price, digest(:fingerprint), 'stored', NULL, NULL, NULL, NULL, 1, 0, 0, 1, NULL, :pictures)
ON CONFLICT (task_id) DO UPDATE SET
  prompt_id = excluded.prompt_id, position = excluded.position, sample = excluded.sample, model = excluded.model,
  prompt = excluded.prompt, parameters = excluded.parameters, extra = excluded.extra, tags = excluded.tags,
  variables = excluded.variables, price = excluded.price, pictures = excluded.pictures, in_manifest = 1, state = 'stored', task_id = excluded.task_id,
  class = NULL, reason = NULL, not_before = NULL, retry_key = NULL, fingerprint_bytes = excluded.fingerprint_bytes
 WHERE (state <> 'stored' OR reason IS NOT NULL OR fingerprint_bytes <> excluded.fingerprint_bytes)
   AND NOT (state = 'received' AND EXISTS
            (SELECT 1 FROM attempts a WHERE a.task_id = tasks.task_id AND a.state = 'received'));

-- put_reason: say what is wrong with a task, without moving it
UPDATE tasks SET reason = :reason WHERE task_id = :task_id;

-- settle_labels: take over what the manifest says beside the requests
UPDATE tasks SET in_manifest = 1, position = s.position, prompt_id = s.prompt_id, tags = s.tags, variables = s.variables
  FROM temp.staged s
 WHERE tasks.task_id = s.task_id AND (tasks.in_manifest = 0 OR tasks.position <> s.position
    OR tasks.prompt_id <> s.prompt_id OR tasks.tags <> s.tags OR tasks.variables <> s.variables);

-- settle_removed: tasks that left the manifest
UPDATE tasks SET in_manifest = 0
 WHERE in_manifest = 1 AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE s.task_id = tasks.task_id);

-- unfinished: attempts that a dead run left open; `unknowns` is null where their task wants something else by now
SELECT a.*, t.unknowns, t.resends_allowed FROM attempts a
  LEFT JOIN tasks t ON t.task_id = a.task_id AND t.fingerprint = a.fingerprint
 WHERE a.state IN ('sent', 'received') ORDER BY a.rowid;

-- request_staged: what the manifest asks for, if that is still the same
SELECT * FROM temp.staged WHERE task_id = :task_id AND fingerprint = :fingerprint;

-- lost_count: lost answers of a fingerprint
SELECT count(*) FROM attempts WHERE fingerprint = :fingerprint AND class = 'unknown' AND state = 'failed';

-- open_links: the manifest's tasks that wait for paid links, by their names or by what they ask for
SELECT coalesce((SELECT s.task_id FROM temp.staged s WHERE s.task_id = a.task_id),
                (SELECT s.task_id FROM temp.staged s WHERE s.fingerprint = a.fingerprint)) AS waiting
  FROM attempts a WHERE a.state IN ('sent', 'received') AND a.state = 'received' AND waiting IS NOT NULL;

-- models: what a run has queued
SELECT model, count(*) FROM tasks WHERE queued_by = :run_id AND state = 'pending' GROUP BY model;

-- due: queued tasks of a model that may be sent now
SELECT t.*, (SELECT count(*) FROM attempts a WHERE a.task_id = t.task_id) AS attempts FROM tasks t
 WHERE t.queued_by = :run_id AND t.state = 'pending' AND (t.not_before IS NULL OR t.not_before <= :now)
   AND t.model = :model ORDER BY t.position LIMIT :limit;

-- next_due: when the next queued task of a model may be sent
SELECT coalesce(
  (SELECT '' FROM tasks WHERE queued_by = :run_id AND state = 'pending' AND model = :model AND not_before IS NULL LIMIT 1),
  (SELECT min(not_before) FROM tasks
    WHERE queued_by = :run_id AND state = 'pending' AND model = :model AND not_before IS NOT NULL));

-- attempt_insert: an attempt that is about to be sent
INSERT INTO attempts (attempt_id_bytes, task_id, fingerprint_bytes, number, run_id, idempotency_key_bytes, state, started, reserved_usd,
  possible_duplicate)
VALUES (packed(:attempt_id), :task_id, digest(:fingerprint), :number, :run_id, packed(:idempotency_key), 'sent', :started, :reserved_usd,
  :possible_duplicate);

-- task_sent: its task
UPDATE tasks SET state = 'sent', tried = tried + 1, not_before = NULL WHERE task_id = :task_id;

-- attempt_received: the answer is a link
UPDATE attempts SET state = 'received', url = :url, url_expires = :expires, answer = :answer,
  http_status = :http_status, request_id = :request_id WHERE attempt_id_bytes = packed(:attempt_id);

-- task_received: its task
UPDATE tasks SET state = 'received' WHERE task_id = (SELECT task_id FROM attempts WHERE attempt_id_bytes = packed(:attempt_id));

-- attempt_stored: the image is durable
UPDATE attempts SET state = 'stored', class = NULL, reason = NULL, http_status = :http_status,
  request_id = coalesce(:request_id, request_id), url = NULL, answer = NULL,
  ended = :ended, seconds = :seconds, cost_usd = :cost_usd, paid = 'yes' WHERE attempt_id_bytes = packed(:attempt_id);

-- task_stored: its task, if it still wants that
UPDATE tasks SET state = 'stored', class = NULL, reason = NULL, not_before = NULL, retry_key = NULL
 WHERE task_id = :task_id AND fingerprint = :fingerprint;

-- image_leave: what stood under a task's name leaves it
UPDATE images SET current = 0 WHERE task_id = :task_id AND current = 1 AND attempt_id_bytes <> packed(:attempt_id);

-- image_moved: where it went
UPDATE images SET file_elsewhere = :file, current = 0 WHERE attempt_id_bytes = packed(:attempt_id);

-- image_put: an image under a task's name (current), or in superseded/
INSERT INTO images VALUES (packed(:attempt_id), :task_id, digest(:fingerprint),
  nullif(:file, 'images/' || :task_id || '.' || :extension), digest(:sha256), :size_bytes, :mtime_ns, :media_type,
  :extension, :width, :height, :cost_usd, :current)
ON CONFLICT (attempt_id_bytes) DO UPDATE SET task_id = excluded.task_id, file_elsewhere = excluded.file_elsewhere, extension = excluded.extension, current = excluded.current,
  mtime_ns = excluded.mtime_ns;

-- orphaned: a task whose image was moved to another name is pending again, should it come back
UPDATE tasks SET state = 'pending', reason = 'its image now serves another task'
 WHERE task_id = :task_id AND state = 'stored'
   AND NOT EXISTS (SELECT 1 FROM images i WHERE i.task_id = tasks.task_id AND i.current = 1);

-- attempt_failed: no image came of it; a link that is followed no more is forgotten
UPDATE attempts SET url = CASE WHEN :state = 'received' THEN url END,
  answer = CASE WHEN :state = 'received' THEN answer END, state = :state, class = :class, reason = :reason, http_status = coalesce(:http_status, http_status),
  request_id = coalesce(:request_id, request_id), ended = :ended, seconds = :seconds, paid = :paid,
  cost_usd = CASE WHEN :paid = 'no' THEN 0.0 ELSE reserved_usd END WHERE attempt_id_bytes = packed(:attempt_id);

-- task_failed: what its task does next, if it still wants that
UPDATE tasks SET state = :task_state, class = :class, reason = :reason, not_before = :not_before,
  unknowns = unknowns + :unknown, retry_key = :retry_key WHERE task_id = :task_id AND fingerprint = :fingerprint;

-- fail_unsent: tasks of a model that is not available
UPDATE tasks SET state = 'failed', class = :class, reason = :reason, not_before = NULL
 WHERE queued_by = :run_id AND state = 'pending' AND model = :model;

-- totals: money of the job
SELECT count(*), coalesce(sum(coalesce(cost_usd, CASE WHEN state IN ('sent', 'received') THEN reserved_usd END)), 0.0),
       coalesce(sum(CASE WHEN class = 'unknown' THEN cost_usd END), 0.0),
       coalesce(sum(CASE WHEN possible_duplicate = 1 THEN cost_usd END), 0.0),
       count(CASE WHEN state = 'stored' THEN 1 END),
       coalesce(sum(CASE WHEN state = 'stored' THEN cost_usd END), 0.0),
       coalesce(sum(CASE WHEN state = 'failed' AND class <> 'unknown' THEN cost_usd END), 0.0),
       count(CASE WHEN class = 'refused' THEN 1 END)
  FROM attempts;

-- totals_of_run: money of a run
SELECT count(*), coalesce(sum(coalesce(cost_usd, CASE WHEN state IN ('sent', 'received') THEN reserved_usd END)), 0.0),
       coalesce(sum(CASE WHEN class = 'unknown' THEN cost_usd END), 0.0),
       coalesce(sum(CASE WHEN possible_duplicate = 1 THEN cost_usd END), 0.0),
       count(CASE WHEN state = 'stored' THEN 1 END),
       coalesce(sum(CASE WHEN state = 'stored' THEN cost_usd END), 0.0),
       coalesce(sum(CASE WHEN state = 'failed' AND class <> 'unknown' THEN cost_usd END), 0.0),
       count(CASE WHEN class = 'refused' THEN 1 END)
  FROM attempts WHERE rowid > coalesce((SELECT attempts_before FROM runs WHERE run_id = :run_id), 0) AND run_id = :run_id;

-- fact: a fact of the job
SELECT value FROM job WHERE key = :key;

-- outcome: how the tasks of a run stand
SELECT state, coalesce(class, ''), count(*) FROM tasks WHERE queued_by = :run_id GROUP BY 1, 2;

-- states: how the job's tasks stand; one whose image was found gone or changed has the class `missing`
SELECT state, CASE WHEN state = 'stored' THEN 'missing' ELSE coalesce(class, '') END, count(*)
  FROM tasks WHERE in_manifest = 1 AND (state <> 'stored' OR reason IS NOT NULL) GROUP BY state, class;

-- whole: how many tasks the manifest has
SELECT count(*) FROM tasks WHERE in_manifest = 1;

-- task_views: tasks as they are read
SELECT t.*, t.rowid AS place, i.file, i.sha256, i.size_bytes, i.width, i.height, i.cost_usd AS image_usd,
       max((SELECT count(*) FROM attempts a WHERE a.task_id = t.task_id), i.attempt_id_bytes IS NOT NULL) AS attempts,
       (SELECT sum(a.cost_usd) FROM attempts a WHERE a.task_id = t.task_id AND a.fingerprint_bytes = t.fingerprint_bytes) AS spent_usd,
       m.started AS made, m.seconds AS made_s
  FROM tasks t LEFT JOIN images i ON i.task_id = t.task_id AND i.current = 1 AND i.fingerprint_bytes = t.fingerprint_bytes
  LEFT JOIN attempts m ON m.attempt_id_bytes = i.attempt_id_bytes
 WHERE t.in_manifest = 1 AND t.position >= :position AND (t.position > :position OR t.rowid > :place)
 ORDER BY t.position, t.rowid LIMIT :limit;

-- open_views: the first tasks without an image of one state and class, as they are read
SELECT t.*, t.rowid AS place, i.file, i.sha256, i.size_bytes, i.width, i.height, i.cost_usd AS image_usd,
       max((SELECT count(*) FROM attempts a WHERE a.task_id = t.task_id), i.attempt_id_bytes IS NOT NULL) AS attempts,
       (SELECT sum(a.cost_usd) FROM attempts a WHERE a.task_id = t.task_id AND a.fingerprint_bytes = t.fingerprint_bytes) AS spent_usd,
       m.started AS made, m.seconds AS made_s
  FROM tasks t LEFT JOIN images i ON i.task_id = t.task_id AND i.current = 1 AND i.fingerprint_bytes = t.fingerprint_bytes
  LEFT JOIN attempts m ON m.attempt_id_bytes = i.attempt_id_bytes
 WHERE t.in_manifest = 1 AND (t.state <> 'stored' OR t.reason IS NOT NULL) AND t.state = :state AND t.class IS :class
 ORDER BY t.position, t.rowid LIMIT :limit;

-- attempt_views: attempts as they are read
SELECT rowid, * FROM attempts WHERE rowid > :after ORDER BY rowid LIMIT :limit;

-- last_sent: when the last request of the job went out; what was taken in from the disk may not know it
SELECT max(started) AS started FROM attempts WHERE started <> '';

-- stored_since: images that came after a moment
SELECT count(*) FROM (SELECT state, ended FROM attempts ORDER BY rowid DESC LIMIT :limit) WHERE state = 'stored' AND ended > :since;

-- waits_until: the first moment that a task waits for
SELECT min(not_before) FROM tasks WHERE state = 'pending' AND not_before > :now AND in_manifest = 1;

-- list_usd: what the makers of the models would charge for the images that are there
SELECT coalesce(sum(json_extract(price, '$[3]')), 0.0) FROM tasks
 WHERE in_manifest = 1 AND state = 'stored' AND json_valid(price);

-- fail_unsent_shape: tasks of a model with parameters that are never accepted
UPDATE tasks SET state = 'failed', class = :class, reason = :reason, not_before = NULL
 WHERE queued_by = :run_id AND state = 'pending' AND model = :model AND parameters = :parameters AND extra = :extra
   AND pictures = :pictures;

-- longest: the slowest of the last images of some models
SELECT max(seconds) FROM (
  SELECT a.seconds FROM attempts a JOIN tasks t ON t.task_id = a.task_id
   WHERE a.state = 'stored' AND t.model IN (SELECT value FROM json_each(:models)) ORDER BY a.rowid DESC LIMIT 100);

-- history_runs: the last run and the one before it
SELECT run_id, started FROM runs WHERE manifest <> '' ORDER BY rowid DESC LIMIT 2;

-- history_bars: when the requests of a run ended, in equal spans of its time
WITH times AS (SELECT julianday(started) AS began, julianday(ended) AS done, state FROM attempts
                WHERE rowid > coalesce((SELECT attempts_before FROM runs WHERE run_id = :run_id), 0) AND run_id = :run_id
                  AND julianday(ended) IS NOT NULL AND julianday(started) IS NOT NULL),
     span AS (SELECT min(began) AS first, max(max(done) - min(began), 1e-7) AS length FROM times)
SELECT CAST(max(0, min(:bars - 1, (done - first) * :bars / length)) AS INTEGER) AS bar,
       count(CASE WHEN state = 'stored' THEN 1 END) AS stored, count(CASE WHEN state = 'failed' THEN 1 END) AS failed,
       max(length) * 86400.0 AS seconds
  FROM times, span GROUP BY bar ORDER BY bar;

-- history_changes: what a run did to tasks, with the image that it replaced
WITH old AS MATERIALIZED (
  SELECT o.task_id, max(o.rowid) AS place FROM images o JOIN tasks t ON t.task_id = o.task_id AND t.fingerprint <> o.fingerprint
   WHERE o.current = 0 AND o.mtime_ns <> 0 GROUP BY o.task_id),
here AS (
  SELECT a.task_id, max(i.attempt_id_bytes IS NOT NULL) AS brought,
         EXISTS (SELECT 1 FROM attempts b WHERE b.task_id = a.task_id AND b.fingerprint = t.fingerprint
                  AND b.run_id <> :run_id AND b.state = 'failed') AS troubled
    FROM attempts a JOIN tasks t ON t.task_id = a.task_id AND t.fingerprint = a.fingerprint
    LEFT JOIN images i ON i.attempt_id_bytes = a.attempt_id_bytes AND i.current = 1
   WHERE a.rowid > coalesce((SELECT attempts_before FROM runs WHERE run_id = :run_id), 0) AND a.run_id = :run_id GROUP BY +a.task_id)
SELECT t.task_id,
       CASE WHEN t.state = 'stored' THEN CASE WHEN h.troubled THEN 'made after trouble' WHEN p.rowid IS NOT NULL THEN 'replaced' ELSE 'new' END
            WHEN h.troubled THEN 'failed again' ELSE 'newly failed' END AS change,
       p.file, p.width, p.height
  FROM here h JOIN tasks t ON t.task_id = h.task_id
  LEFT JOIN old ON old.task_id = t.task_id LEFT JOIN images p ON p.rowid = old.place
 WHERE t.in_manifest = 1 AND (t.state IN ('failed', 'held') OR (t.state = 'stored' AND h.brought))
 ORDER BY t.position, t.task_id LIMIT :limit;

-- history_shares: where the money went, by model and by tag
SELECT * FROM (
  SELECT 'model' AS kind, t.model AS name, count(CASE WHEN a.state = 'stored' THEN 1 END) AS images, total(a.cost_usd) AS cost_usd
    FROM attempts a JOIN tasks t ON t.task_id = a.task_id GROUP BY t.model
  UNION ALL
  SELECT 'tag', j.value, count(CASE WHEN a.state = 'stored' THEN 1 END), total(a.cost_usd)
    FROM tasks t CROSS JOIN attempts a ON a.task_id = t.task_id, json_each(CASE WHEN json_valid(t.tags) THEN t.tags ELSE '[]' END) j
   WHERE t.tags <> '[]' GROUP BY j.value)
 ORDER BY kind, cost_usd DESC, images DESC, name LIMIT :limit;
