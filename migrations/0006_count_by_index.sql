-- The counting functions of 0004 anew: they find each hour by its index, whatever the planner knew of the table when a
-- session counted for the first time. It would go on reading all of a table that was small then.
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
            LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT
            SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
            AS $body$
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
                FROM counted
                WHERE (service_id, hour) NOT IN (SELECT service_id, hour FROM updated);
                PERFORM pg_notify('status_changed', '');
                RETURN NULL;
            END
            $body$
        $create$, kind, changed);
    END LOOP;
END
$do$;
