-- What the probers tell the api beside the checks: the services in force, and that they are alive.

-- The services of the file that was loaded last, as visitors see them.
-- The probed URL, headers and certificates stay in the prober's configuration.
CREATE TABLE status_services (
    id VARCHAR(50) PRIMARY KEY,
    position INTEGER NOT NULL,           -- place in the file, from 0: place on the page
    name TEXT NOT NULL,
    group_name TEXT,
    link TEXT,                           -- what visitors follow; NULL for none
    interval_ms BIGINT NOT NULL,         -- from one turn to the next
    timeout_ms BIGINT NOT NULL,          -- the bound of one try
    slow_after_ms BIGINT NOT NULL,       -- a slower response is degraded
    tries_take_ms BIGINT NOT NULL,       -- the most that all tries of one check may take
    beat TIMESTAMPTZ NOT NULL            -- an instant at which one of its turns is due
);

-- One row: which file that was. The revision grows with every change of status_services.
CREATE TABLE status_services_file (
    singleton BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (singleton),
    revision BIGINT NOT NULL DEFAULT 0,
    loaded_by UUID,
    loaded_at TIMESTAMPTZ
);
INSERT INTO status_services_file DEFAULT VALUES;

-- One row per journal of a prober: the ledger that makes recording exactly-once, and its heartbeat.
-- A batch is inserted only past last_seq, and moves it, in one transaction.
CREATE TABLE status_probers (
    id UUID PRIMARY KEY,
    last_seq BIGINT NOT NULL DEFAULT 0,  -- the checks of this journal up to here are recorded
    version TEXT NOT NULL,
    started_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    heartbeat_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
