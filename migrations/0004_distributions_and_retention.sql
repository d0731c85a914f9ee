-- Statistics that outlive the checks they were counted from: response times summarised by hour, the counts of checks
-- that retention removed, and triggers that say how far back a change reached and wake who listens.

-- Writers wait, not readers: from the first change after this on, the new functions count.
LOCK TABLE service_checks IN SHARE ROW EXCLUSIVE MODE;

-- Response times of an hour, once it is over: what `shared::Distribution` encodes. An hour whose checks changed since
-- is not summarised, whoever changed them, and is done again.
ALTER TABLE status_rollups
    ADD COLUMN summarised BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN response_times BYTEA;
-- Small: the hours that still go on, and those to be done again.
CREATE INDEX status_rollups_open ON status_rollups (hour) WHERE NOT summarised;

-- The rollups of the checks that retention removed, and nothing else: no correction reaches them, and no recount.
CREATE TABLE status_retired (
    service_id TEXT NOT NULL,
    hour TIMESTAMPTZ NOT NULL,
    online INTEGER NOT NULL,
    degraded INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    offline INTEGER NOT NULL,
    total INTEGER NOT NULL,
    response_times BYTEA
);
-- Not unique: what somebody adds to an hour that is already retired is retired by a row of its own.
CREATE INDEX ON status_retired (service_id, hour);

-- Checks by status of a UTC day, of all checks ever.
CREATE VIEW status_days AS
SELECT service_id, date_trunc('day', hour, 'UTC') AS day, sum(online) AS online, sum(degraded) AS degraded,
       sum(timeout) AS timeout, sum(offline) AS offline, sum(total) AS total
FROM (SELECT service_id, hour, online, degraded, timeout, offline, total FROM status_rollups
      UNION ALL
      SELECT service_id, hour, online, degraded, timeout, offline, total FROM status_retired) AS counted
GROUP BY 1, 2
HAVING sum(total) > 0;

-- How far back changes reach, so that a reader need not look there again after every check: `recent` is the newest hour
-- that a change began in (none that lies in the future), `corrected` the revision of the last change that reached back
-- beyond the hour before it. Whoever read at revision r and finds `corrected` <= r has to read again only what is not
-- older than an hour before the `recent` that it read.
ALTER TABLE status_totals
    ADD COLUMN recent TIMESTAMPTZ NOT NULL DEFAULT '-infinity',
    ADD COLUMN corrected BIGINT NOT NULL DEFAULT 0;

-- In place of the functions of 0003. One way to count the three kinds of change; only the rows it counts differ, and
-- their sign. Totals are touched in the order of their keys, so that two writers wait for each other but never deadlock.
-- SECURITY DEFINER with a fixed search_path: whoever may write checks need not be able to write counts.
DO $do$
DECLARE
    kind TEXT;
    changed TEXT;
    referencing TEXT;
BEGIN
    FOR kind, changed, referencing IN VALUES
        ('insert', 'SELECT 1 AS sign, service_id, timestamp, status FROM added', 'NEW TABLE AS added'),
        ('delete', 'SELECT -1 AS sign, service_id, timestamp, status FROM removed', 'OLD TABLE AS removed'),
        ('update', 'SELECT 1 AS sign, service_id, timestamp, status FROM added
                    UNION ALL SELECT -1, service_id, timestamp, status FROM removed',
                   'NEW TABLE AS added OLD TABLE AS removed')
    LOOP
        EXECUTE format($create$
            CREATE OR REPLACE FUNCTION status_count_%1$s() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
            BEGIN
                -- First: who holds a service here is alone with its hours below, in whatever order they are touched.
                INSERT INTO status_totals AS t (service_id, online, degraded, timeout, offline, total, recent)
                SELECT service_id,
                       sum(sign * (status = 'online')::int),
                       sum(sign * (status = 'degraded')::int),
                       sum(sign * (status = 'timeout')::int),
                       sum(sign * (status = 'offline')::int),
                       sum(sign),
                       LEAST(date_trunc('hour', min(timestamp), 'UTC'), date_trunc('hour', clock_timestamp(), 'UTC'))
                FROM (%2$s) AS changed
                GROUP BY service_id ORDER BY service_id
                ON CONFLICT (service_id) DO UPDATE SET
                    online = t.online + EXCLUDED.online,
                    degraded = t.degraded + EXCLUDED.degraded,
                    timeout = t.timeout + EXCLUDED.timeout,
                    offline = t.offline + EXCLUDED.offline,
                    total = t.total + EXCLUDED.total,
                    revision = t.revision + 1,
                    -- (Where the newest hour is yet to come, the clock was ahead, and it begins anew.)
                    recent = CASE WHEN t.recent > clock_timestamp() THEN EXCLUDED.recent
                             ELSE GREATEST(t.recent, EXCLUDED.recent) END,
                    corrected = CASE WHEN t.recent > clock_timestamp()
                                       OR EXCLUDED.recent + INTERVAL '1 hour' < t.recent
                                THEN t.revision + 1 ELSE t.corrected END;
                IF NOT FOUND THEN
                    RETURN NULL;
                END IF;
                -- An update costs half of what an insert does that finds its row there; most hours are there.
                WITH counted AS (
                    SELECT service_id, date_trunc('hour', timestamp, 'UTC') AS hour,
                           sum(sign * (status = 'online')::int) AS online,
                           sum(sign * (status = 'degraded')::int) AS degraded,
                           sum(sign * (status = 'timeout')::int) AS timeout,
                           sum(sign * (status = 'offline')::int) AS offline,
                           sum(sign) AS total
                    FROM (%2$s) AS changed
                    GROUP BY service_id, hour
                ), updated AS (
                    UPDATE status_rollups AS r SET
                        online = r.online + c.online,
                        degraded = r.degraded + c.degraded,
                        timeout = r.timeout + c.timeout,
                        offline = r.offline + c.offline,
                        total = r.total + c.total,
                        summarised = FALSE
                    FROM counted c
                    WHERE r.service_id = c.service_id AND r.hour = c.hour
                    RETURNING r.service_id, r.hour
                )
                INSERT INTO status_rollups (service_id, hour, online, degraded, timeout, offline, total)
                SELECT service_id, hour, online, degraded, timeout, offline, total
                FROM counted LEFT JOIN updated USING (service_id, hour)
                WHERE updated.hour IS NULL;
                PERFORM pg_notify('status_changed', '');
                RETURN NULL;
            END
            $body$
        $create$, kind, changed);
    END LOOP;
END
$do$;

CREATE OR REPLACE FUNCTION status_count_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM status_rollups;
    UPDATE status_totals AS t SET
        (online, degraded, timeout, offline, total) =
            (SELECT COALESCE(sum(r.online), 0), COALESCE(sum(r.degraded), 0), COALESCE(sum(r.timeout), 0),
                    COALESCE(sum(r.offline), 0), COALESCE(sum(r.total), 0)
             FROM status_retired r WHERE r.service_id = t.service_id),
        revision = revision + 1,
        corrected = revision + 1;
    PERFORM pg_notify('status_changed', '');
    RETURN NULL;
END
$$;
