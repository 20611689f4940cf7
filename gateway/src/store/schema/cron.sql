-- What is to happen at set times; the job is the JSON that clients see.
CREATE TABLE cron_jobs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    enabled INTEGER NOT NULL,
    job TEXT NOT NULL
) STRICT;
-- How runs of jobs went; goes with its job.
CREATE TABLE cron_runs (
    number INTEGER PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES cron_jobs (id) ON DELETE CASCADE,
    entry TEXT NOT NULL
) STRICT;
CREATE INDEX cron_runs_by_job ON cron_runs (job_id, number);
