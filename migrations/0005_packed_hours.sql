-- The hours of a month packed into one row a service, so that who begins to read need not fetch each by itself. Whatever
-- it says, `status_rollups` says too: who finds it missing or out of date reads those.

CREATE TABLE status_packed (
    service_id TEXT PRIMARY KEY,
    -- That of `status_totals` when it was packed: it is good as long as `corrected` is not beyond it.
    revision BIGINT NOT NULL,
    -- The hours from `since` on and before `until`, both a UTC midnight.
    since TIMESTAMPTZ NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    -- 12 bytes for each hour that has checks, ascending: its number (hours since 1970), its online checks, all of them.
    hours BYTEA NOT NULL
);

-- Packs the hours of at most so many services that have a new day, or were corrected since; gives how many it packed.
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
        INSERT INTO status_packed (service_id, revision, since, until, hours)
        SELECT d.service_id, d.revision, d.until - INTERVAL '768 hours', d.until, h.hours
        FROM due d
        CROSS JOIN LATERAL (
            SELECT COALESCE(string_agg(int4send((extract(epoch FROM hour)::bigint / 3600)::int)
                                       || int4send(online) || int4send(total), '' ORDER BY hour), '') AS hours
            FROM status_rollups r
            WHERE r.service_id = d.service_id AND total > 0
              AND hour >= d.until - INTERVAL '768 hours' AND hour < d.until
        ) h
        ON CONFLICT (service_id) DO UPDATE SET
            revision = EXCLUDED.revision, since = EXCLUDED.since, until = EXCLUDED.until, hours = EXCLUDED.hours
        RETURNING 1
    )
    SELECT count(*) FROM packed
$$;
