-- Roles and rights, for a database of the monitor's own. Safe to run again, as a superuser or another role that may
-- create roles:
--     createdb status && psql -d status -f deploy/roles.sql
-- Passwords are set by hand, afterwards:
--     psql -d status -c '\password status_prober' -c '\password status_api'

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

-- The prober owns the tables. The api reads them, and could not write if it tried.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['status_prober', 'status_api']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

ALTER ROLE status_api SET default_transaction_read_only = on;
ALTER ROLE status_api SET statement_timeout = '30s';
ALTER ROLE status_api SET idle_in_transaction_session_timeout = '60s';
-- An api holds three connections; another limit that somebody chose stays. The prober bounds its own statements, which in a
-- migration may take long, and has no limit: whoever else is connected, there must be room for the one who records.
SELECT 'ALTER ROLE status_api CONNECTION LIMIT 75'
FROM pg_roles WHERE rolname = 'status_api' AND rolconnlimit = -1
\gexec

-- Who is no superuser gives tables away, and default rights, only as a member.
SELECT 'GRANT status_prober TO CURRENT_USER'
WHERE NOT pg_has_role(current_user, 'status_prober', 'MEMBER')
\gexec

-- Nobody else creates anything here. In a database that is shared with other programs, look at these lines first.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database())
\gexec

-- (Large objects may be made by everybody, until a superuser says otherwise.)
SELECT 'REVOKE EXECUTE ON FUNCTION lo_create(OID), lo_creat(INTEGER), lo_from_bytea(OID, BYTEA) FROM PUBLIC'
FROM pg_roles WHERE rolname = current_user AND rolsuper
\gexec

SELECT format('GRANT CONNECT ON DATABASE %I TO status_prober, status_api', current_database())
\gexec
GRANT USAGE, CREATE ON SCHEMA public TO status_prober;
GRANT USAGE ON SCHEMA public TO status_api;

-- What exists already, by another role (the program before this one, or a start without these roles), changes hands.
-- Sequences and indexes go with their tables. Tables of others are left alone.
SELECT format('ALTER TABLE %s OWNER TO status_prober', oid::regclass)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relowner <> 'status_prober'::regrole
  AND relname IN ('service_checks', 'status_days', 'status_migrations', 'status_packed', 'status_probers',
                  'status_retired', 'status_rollups', 'status_services', 'status_services_file', 'status_totals')
\gexec
SELECT format('ALTER FUNCTION %s OWNER TO status_prober', oid::regprocedure)
FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND proowner <> 'status_prober'::regrole
  AND proname IN ('status_count_insert', 'status_count_update', 'status_count_delete', 'status_count_truncate',
                  'status_pack', 'status_runs')
\gexec
SELECT format('GRANT SELECT ON %s TO status_api', oid::regclass)
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v') AND relowner = 'status_prober'::regrole
\gexec

-- And what later versions create.
ALTER DEFAULT PRIVILEGES FOR ROLE status_prober IN SCHEMA public GRANT SELECT ON TABLES TO status_api;

COMMIT;
