-- Several probers share the services: each says which services file it has, whom it shares with and from which turns on,
-- and the file that was loaded last is known by its fingerprint.

ALTER TABLE status_services_file
    ADD COLUMN fingerprint TEXT;           -- of the file's bytes; NULL where it is not known

ALTER TABLE status_probers
    ADD COLUMN host TEXT,                  -- the machine it runs on, for people
    ADD COLUMN backend INTEGER,            -- the process of the server that serves it: gone, so is the prober
    ADD COLUMN fingerprint TEXT,           -- of its services file; NULL once it has left
    ADD COLUMN members UUID[] NOT NULL DEFAULT '{}',  -- who shares the turns, itself included; none: it takes none
    ADD COLUMN members_from TIMESTAMPTZ,   -- that is so for the turns due from here on
    ADD COLUMN members_before UUID[] NOT NULL DEFAULT '{}';  -- who shared the turns before
