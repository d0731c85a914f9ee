-- What a page shows of the past beside uptime: checks by status of each day, response times of a week, and the runs of
-- checks that were not online. And all of that packed into one row a service, so that who begins to read need not fetch
-- each hour by itself. Whatever is packed, `status_rollups` and `service_checks` say too: who finds it missing or out of
-- date reads those.

-- The runs of checks of a service that were not online, in its hours from `since` on, of checks before `until`: newest
-- thousand, ascending, each within one hour. Each is an array, its instants in microseconds since 1970:
--   0 its first check, 1 its last, 2 how many, 3 degraded, 4 timeout and 5 offline ones of them, 6 the first class of
--   failure told, 7 the check before, 8 whether that one was online, 9 the online check after.
-- A run goes on in the next one if that begins after the same check (7) as this one ended with (1).
-- (An adopted table may have any further column: what is not its own is named in full.)
CREATE FUNCTION status_runs(service TEXT, since TIMESTAMPTZ, until TIMESTAMPTZ) RETURNS JSONB
LANGUAGE sql STABLE SET search_path FROM CURRENT AS $$
    SELECT COALESCE(jsonb_agg(jsonb_build_array(
               (extract(epoch FROM began) * 1000000)::bigint, (extract(epoch FROM ended) * 1000000)::bigint,
               checks, degraded, timeout, offline, failure,
               (extract(epoch FROM COALESCE(before, earlier.timestamp)) * 1000000)::bigint,
               before IS NOT NULL OR earlier.online IS TRUE,
               (extract(epoch FROM COALESCE(after, later.timestamp)) * 1000000)::bigint) ORDER BY began), '[]')
    FROM (
        SELECT r.hour, c.*
        FROM status_rollups r
        CROSS JOIN LATERAL (
            -- Of an hour without one that was online the ends alone are looked at.
            SELECT first.timestamp AS began, last.timestamp AS ended, r.total::bigint AS checks, r.degraded::bigint AS degraded,
                   r.timeout::bigint AS timeout, r.offline::bigint AS offline, first.failure,
                   NULL::timestamptz AS before, NULL::timestamptz AS after, TRUE AS ends_the_hour
            FROM (SELECT timestamp, substring(error FROM '^([a-z]+)(?:[ :]|$)') AS failure FROM service_checks
                  WHERE service_id = status_runs.service AND timestamp >= r.hour AND timestamp < r.hour + INTERVAL '1 hour'
                  ORDER BY timestamp, id LIMIT 1) AS first,
                 (SELECT timestamp FROM service_checks
                  WHERE service_id = status_runs.service AND timestamp >= r.hour AND timestamp < r.hour + INTERVAL '1 hour'
                  ORDER BY timestamp DESC LIMIT 1) AS last
            WHERE r.online = 0 AND r.hour + INTERVAL '1 hour' <= status_runs.until
            UNION ALL
            SELECT min(timestamp) FILTER (WHERE NOT online), max(timestamp) FILTER (WHERE NOT online),
                   count(*) FILTER (WHERE NOT online),
                   count(*) FILTER (WHERE status = 'degraded'),
                   count(*) FILTER (WHERE status = 'timeout'),
                   count(*) FILTER (WHERE status = 'offline'),
                   (array_agg(failure ORDER BY timestamp, id) FILTER (WHERE failure IS NOT NULL))[1],
                   min(timestamp) FILTER (WHERE online),
                   lead(min(timestamp) FILTER (WHERE online)) OVER (ORDER BY run),
                   lead(run) OVER (ORDER BY run) IS NULL
            FROM (SELECT id, timestamp, status, status IS NOT DISTINCT FROM 'online' AS online,
                         CASE WHEN status IS DISTINCT FROM 'online'
                              THEN substring(error FROM '^([a-z]+)(?:[ :]|$)') END AS failure,
                         -- An online check begins the next run.
                         count(*) FILTER (WHERE status = 'online') OVER (ORDER BY timestamp, id) AS run
                  FROM service_checks
                  WHERE service_id = status_runs.service AND timestamp >= r.hour
                    AND timestamp < LEAST(r.hour + INTERVAL '1 hour', status_runs.until)) AS raw
            WHERE r.online > 0 OR r.hour + INTERVAL '1 hour' > status_runs.until
            GROUP BY run
        ) c
        WHERE r.service_id = status_runs.service AND r.hour >= status_runs.since AND r.hour < status_runs.until AND r.online < r.total AND c.checks > 0
        ORDER BY r.hour DESC, c.began DESC LIMIT 1000
    ) runs
    LEFT JOIN LATERAL (
        SELECT timestamp, status = 'online' AS online FROM service_checks
        WHERE runs.before IS NULL AND service_id = status_runs.service AND timestamp < runs.hour AND timestamp > '-infinity'
        ORDER BY timestamp DESC, id DESC LIMIT 1
    ) earlier ON TRUE
    LEFT JOIN LATERAL (
        SELECT timestamp FROM (
            SELECT timestamp, status FROM service_checks
            WHERE runs.ends_the_hour AND service_id = status_runs.service AND timestamp >= runs.hour + INTERVAL '1 hour' AND timestamp < status_runs.until
            ORDER BY timestamp, id LIMIT 1
        ) next
        WHERE status = 'online'
    ) later ON TRUE
$$;

-- It reads what its caller may read, where nobody may call what is new unless he is told so too.
GRANT EXECUTE ON FUNCTION status_runs TO PUBLIC;

CREATE TABLE status_packed (
    service_id TEXT PRIMARY KEY,
    -- That of `status_totals` when it was packed: it is good as long as `corrected` is not beyond it.
    revision BIGINT NOT NULL,
    -- All is of before `until`, and the hours from `since` on; both a UTC midnight. Days reach back further than hours, by
    -- as much as `until` may lie ahead of a reader's clock.
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    -- 12 bytes for each hour that has checks, ascending: its number (hours since 1970), its online checks, all of them.
    hours BYTEA NOT NULL,
    -- For each hour of eight days that has response times: its number in 4 bytes, the length of what follows in 2, and
    -- what `shared::Distribution` encodes.
    response_times BYTEA NOT NULL,
    -- 24 bytes for each of ninety-one days that has checks, ascending: its number (days since 1970), its online, degraded,
    -- timeout and offline checks, all of them.
    days BYTEA NOT NULL,
    -- What `status_runs` gives for ninety-one days.
    runs JSONB NOT NULL
);

-- Packs the past of at most so many services that have a new day, or were corrected since; gives how many it packed.
-- One at a time: the caller holds the lock of upkeep. Nobody else waits for it, or it for anybody.
CREATE FUNCTION status_pack(most INTEGER) RETURNS BIGINT
LANGUAGE sql SET search_path FROM CURRENT AS $$
    WITH due AS (
        SELECT t.service_id, t.revision, d.until
        FROM status_totals t
        -- A change that reaches back beyond this is a correction. (No day is over where no check was seen yet.)
        CROSS JOIN LATERAL (SELECT date_trunc('day', t.recent - INTERVAL '1 hour', 'UTC') AS until) d
        LEFT JOIN status_packed p USING (service_id)
        WHERE d.until > '-infinity'
          AND (p.service_id IS NULL OR p.until <> d.until OR p.revision < t.corrected)
        ORDER BY t.service_id LIMIT most
    ), packed AS (
        INSERT INTO status_packed (service_id, revision, since, until, hours, response_times, days, runs)
        SELECT d.service_id, d.revision, d.until - INTERVAL '768 hours', d.until, h.hours, h.response_times, y.days,
               status_runs(d.service_id, d.until - INTERVAL '91 days', d.until)
        FROM due d
        CROSS JOIN LATERAL (
            SELECT COALESCE(string_agg(int4send(number) || int4send(online) || int4send(total), '' ORDER BY hour), '') AS hours,
                   COALESCE(string_agg(int4send(number) || int2send(octet_length(response_times)::int2) || response_times,
                                       '' ORDER BY hour)
                            FILTER (WHERE hour >= d.until - INTERVAL '8 days' AND summarised AND response_times IS NOT NULL),
                            '') AS response_times
            FROM (SELECT *, (extract(epoch FROM hour)::bigint / 3600)::int AS number FROM status_rollups r
                  WHERE r.service_id = d.service_id AND total > 0
                    AND hour >= d.until - INTERVAL '768 hours' AND hour < d.until) AS counted
        ) h
        CROSS JOIN LATERAL (
            SELECT COALESCE(string_agg(int4send(day) || int4send(online) || int4send(degraded) || int4send(timeout)
                                       || int4send(offline) || int4send(total), '' ORDER BY day), '') AS days
            FROM (SELECT (extract(epoch FROM date_trunc('day', hour, 'UTC'))::bigint / 86400)::int AS day,
                         sum(online)::int AS online, sum(degraded)::int AS degraded, sum(timeout)::int AS timeout,
                         sum(offline)::int AS offline, sum(total)::int AS total
                  FROM status_rollups r
                  WHERE r.service_id = d.service_id AND total > 0
                    AND hour >= d.until - INTERVAL '91 days' AND hour < d.until
                  GROUP BY 1) AS counted
        ) y
        ON CONFLICT (service_id) DO UPDATE SET
            revision = EXCLUDED.revision, since = EXCLUDED.since, until = EXCLUDED.until, hours = EXCLUDED.hours,
            response_times = EXCLUDED.response_times, days = EXCLUDED.days, runs = EXCLUDED.runs
        RETURNING 1
    )
    SELECT count(*) FROM packed
$$;
