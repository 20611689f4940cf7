-- When a job is due next, derived from the job, so that rows which an older version writes have it too.
ALTER TABLE cron_jobs ADD COLUMN next_run_ms INTEGER GENERATED ALWAYS AS (json_extract(job, '$.state.nextRunAtMs')) VIRTUAL;
CREATE INDEX cron_jobs_due ON cron_jobs (next_run_ms) WHERE enabled AND next_run_ms IS NOT NULL;
-- Runs of jobs that are not over: noted before they begin, so that each happens, and once, whatever ends the process.
CREATE TABLE cron_occurrences (
    number INTEGER PRIMARY KEY,
    -- The id of the run.
    run_id TEXT NOT NULL UNIQUE,
    job_id TEXT NOT NULL REFERENCES cron_jobs (id) ON DELETE CASCADE,
    began_ms INTEGER NOT NULL,
    -- The job as it was then.
    job TEXT NOT NULL
) STRICT;
CREATE INDEX cron_occurrences_by_job ON cron_occurrences (job_id);
