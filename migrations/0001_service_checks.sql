-- The public table, with exactly the seven columns of the program before this one.
-- Where that program already made and filled it, it is adopted as it stands.

CREATE TABLE IF NOT EXISTS service_checks (
    id BIGSERIAL PRIMARY KEY,
    service_id VARCHAR(50) NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL DEFAULT now(),
    status VARCHAR(20) NOT NULL,
    response_time INTEGER,
    status_code INTEGER,
    error TEXT
);

-- An index on (service_id, timestamp DESC) is needed; an adopted table may have one under any name.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = 'service_checks'::regclass AND i.indisvalid AND i.indpred IS NULL
          AND pg_get_indexdef(i.indexrelid) LIKE '%USING btree (service_id, "timestamp" DESC)'
    ) THEN
        CREATE INDEX ON service_checks (service_id, timestamp DESC);
    END IF;
END
$$;
