//! One way to explain an error of the database: what happened, and what to do, on one line.

use std::error::Error as _;

use postgres::{Error, error::SqlState};

use crate::printable::one_line;

/// What a server says may be as long as a statement.
const MOST_CHARACTERS: usize = 500;

/// One line for people: what happened and what to do. Never holds a password.
pub fn explain(error: &Error) -> String {
    let happened = one_line(&causes(error), MOST_CHARACTERS);
    match error.code().map_or_else(|| advice_without_code(&happened), advice) {
        Some(advice) => format!("{happened}; {advice}"),
        None => happened,
    }
}

/// A `postgres::Error` alone prints only its kind; what happened stands in its causes.
fn causes(error: &Error) -> String {
    if let Some(refused) = error.as_db_error() {
        let detail = refused.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}{detail}", refused.message());
    }
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

fn advice(code: &SqlState) -> Option<&'static str> {
    Some(match *code {
        SqlState::INVALID_PASSWORD => "set the right password in DATABASE_URL",
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check the user in DATABASE_URL, and pg_hba.conf on the server"
        }
        SqlState::INVALID_CATALOG_NAME => {
            "create the database (createdb), or name the right one in DATABASE_URL"
        }
        SqlState::INSUFFICIENT_PRIVILEGE => {
            "run deploy/roles.sql in this database as its owner: the prober's role owns the tables, the api's reads them"
        }
        SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN => {
            "the schema is older than this program (run `status-prober migrate`), or too new for it (upgrade it)"
        }
        SqlState::READ_ONLY_SQL_TRANSACTION => {
            "this server only reads (a standby?): name the primary in DATABASE_URL"
        }
        SqlState::TOO_MANY_CONNECTIONS => {
            "raise max_connections or the role's CONNECTION LIMIT, or close other clients"
        }
        SqlState::DISK_FULL => "free disk space on the database server",
        SqlState::LOCK_NOT_AVAILABLE => "another session holds a lock on the table: see pg_stat_activity",
        SqlState::QUERY_CANCELED => "it took too long or was cancelled",
        SqlState::CANNOT_CONNECT_NOW => "it is starting up or shutting down",
        _ => return None,
    })
}

fn advice_without_code(happened: &str) -> Option<&'static str> {
    const ADVICE: [(&str, &str); 8] = [
        ("refused", "is PostgreSQL running there?"),
        ("No such file or directory", "is PostgreSQL running with that socket folder?"),
        ("lookup address", "the host's name is not known: check it in DATABASE_URL"),
        ("does not support TLS", "the server offers no TLS: switch it on there, or use another sslmode"),
        (
            "certificate expired",
            "renew the server's certificate and reload the server, or set this machine's clock right",
        ),
        (
            "not valid for name",
            "write the host in DATABASE_URL as the server's certificate does, or give the server one for that name",
        ),
        (
            "certificate",
            "the server's certificate is not trusted: check sslrootcert and sslmode in DATABASE_URL",
        ),
        ("password missing", "put the password into DATABASE_URL"),
    ];
    ADVICE.iter().find(|(sign, _)| happened.contains(sign)).map(|(_, advice)| *advice)
}
