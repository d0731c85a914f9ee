-- Counted checks, so that uptime and totals never read history. Statement-level triggers keep them,
-- whoever writes: INSERT, UPDATE, DELETE, TRUNCATE and COPY by anybody are corrections that count.

-- The rollup: checks by status of one service and one UTC hour. A status nobody knows is in total only.
CREATE TABLE status_rollups (
    service_id TEXT NOT NULL,
    hour TIMESTAMPTZ NOT NULL,
    online INTEGER NOT NULL,
    degraded INTEGER NOT NULL,
    timeout INTEGER NOT NULL,
    offline INTEGER NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (service_id, hour)
) WITH (fillfactor = 90);

-- All checks ever, and a revision that grows with every statement that touched the service.
CREATE TABLE status_totals (
    service_id TEXT PRIMARY KEY,
    online BIGINT NOT NULL,
    degraded BIGINT NOT NULL,
    timeout BIGINT NOT NULL,
    offline BIGINT NOT NULL,
    total BIGINT NOT NULL,
    revision BIGINT NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

-- A trigger that is created makes writers wait (not readers) to the end of the transaction: so between it and the
-- count of what stands there, below, no check is missed or counted twice.
--
-- One counting statement for the three kinds of change; only the rows it counts differ, and their sign.
-- Rows are touched in the order of their keys, so that two writers wait for each other but never deadlock.
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
            CREATE FUNCTION status_count_%1$s() RETURNS trigger
            LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $body$
            BEGIN
                WITH counted AS (
                    SELECT service_id, date_trunc('hour', timestamp, 'UTC') AS hour,
                           sum(sign * (status = 'online')::int) AS online,
                           sum(sign * (status = 'degraded')::int) AS degraded,
                           sum(sign * (status = 'timeout')::int) AS timeout,
                           sum(sign * (status = 'offline')::int) AS offline,
                           sum(sign) AS total
                    FROM (%2$s) AS changed
                    GROUP BY service_id, hour
                ), rolled_up AS (
                    INSERT INTO status_rollups AS r (service_id, hour, online, degraded, timeout, offline, total)
                    SELECT service_id, hour, online, degraded, timeout, offline, total
                    FROM counted ORDER BY service_id, hour
                    ON CONFLICT (service_id, hour) DO UPDATE SET
                        online = r.online + EXCLUDED.online,
                        degraded = r.degraded + EXCLUDED.degraded,
                        timeout = r.timeout + EXCLUDED.timeout,
                        offline = r.offline + EXCLUDED.offline,
                        total = r.total + EXCLUDED.total
                )
                INSERT INTO status_totals AS t (service_id, online, degraded, timeout, offline, total)
                SELECT service_id, sum(online), sum(degraded), sum(timeout), sum(offline), sum(total)
                FROM counted GROUP BY service_id ORDER BY service_id
                ON CONFLICT (service_id) DO UPDATE SET
                    online = t.online + EXCLUDED.online,
                    degraded = t.degraded + EXCLUDED.degraded,
                    timeout = t.timeout + EXCLUDED.timeout,
                    offline = t.offline + EXCLUDED.offline,
                    total = t.total + EXCLUDED.total,
                    revision = t.revision + 1;
                RETURN NULL;
            END
            $body$
        $create$, kind, changed);
        EXECUTE format(
            'CREATE TRIGGER status_count_%1$s AFTER %1$s ON service_checks REFERENCING %2$s
             FOR EACH STATEMENT EXECUTE FUNCTION status_count_%1$s()', kind, referencing);
    END LOOP;
END
$do$;

CREATE FUNCTION status_count_truncate() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM status_rollups;
    UPDATE status_totals
    SET online = 0, degraded = 0, timeout = 0, offline = 0, total = 0, revision = revision + 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER status_count_truncate AFTER TRUNCATE ON service_checks
    FOR EACH STATEMENT EXECUTE FUNCTION status_count_truncate();

-- What stood there before, counted once.
INSERT INTO status_rollups (service_id, hour, online, degraded, timeout, offline, total)
SELECT service_id, date_trunc('hour', timestamp, 'UTC'),
       count(*) FILTER (WHERE status = 'online'),
       count(*) FILTER (WHERE status = 'degraded'),
       count(*) FILTER (WHERE status = 'timeout'),
       count(*) FILTER (WHERE status = 'offline'),
       count(*)
FROM service_checks
GROUP BY 1, 2;

INSERT INTO status_totals (service_id, online, degraded, timeout, offline, total)
SELECT service_id, sum(online), sum(degraded), sum(timeout), sum(offline), sum(total)
FROM status_rollups
GROUP BY service_id;
