//! The noun everything turns around: one recorded observation of a service, and its words in the database.
//! How a check is made is the prober's; what it means for uptime is the api's.

use chrono::{DateTime, Utc};

/// One recorded observation of a service: a row of `service_checks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The service's id, 1 to 50 characters.
    pub service_id: String,
    /// When the first try began.
    pub timestamp: DateTime<Utc>,
    /// What was found.
    pub status: Status,
    /// Whole milliseconds of the last try, from the start of its lookup to the end of the final headers;
    /// the timeout where nothing answered in time; `None` where there was no answer at all.
    pub response_time_ms: Option<i32>,
    /// The final HTTP status, `None` where no HTTP answer came.
    pub status_code: Option<u16>,
    /// One printable line of at most 500 characters that begins with a [`Failure`]'s word; `None` when online.
    pub error: Option<String>,
}

/// What a check found. The words are those of the database, the JSON and the style sheet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(rename_all = "lowercase"))]
pub enum Status {
    /// An expected HTTP status, in time.
    Online,
    /// Another HTTP status, or an answer slower than the service's `slow_after`.
    Degraded,
    /// No answer within the timeout.
    Timeout,
    /// No HTTP answer: the name, the connection, TLS, the protocol or a redirect failed.
    Offline,
    /// No check yet, none recent enough, or a word in the database that nobody knows.
    Unknown,
}

impl Status {
    /// The word in `service_checks.status`, in the JSON and in class names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Online => "online",
            Status::Degraded => "degraded",
            Status::Timeout => "timeout",
            Status::Offline => "offline",
            Status::Unknown => "unknown",
        }
    }

    /// Reads the word of a row; words nobody knows are [`Status::Unknown`].
    pub fn from_word(word: &str) -> Status {
        match word {
            "online" => Status::Online,
            "degraded" => Status::Degraded,
            "timeout" => Status::Timeout,
            "offline" => Status::Offline,
            _ => Status::Unknown,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a check was not online: the first word of [`Check::error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema), schema(rename_all = "lowercase"))]
pub enum Failure {
    /// The name was not found, or nobody answered for it.
    Dns,
    /// No connection: refused, unreachable, reset.
    Connect,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// Nothing, or not enough, within the timeout.
    Timeout,
    /// What came back is not HTTP, or not within its bounds.
    Protocol,
    /// Too many redirects, or one that must not be followed.
    Redirect,
    /// An HTTP status that is not expected.
    Status,
    /// An expected answer, later than `slow_after`.
    Slow,
}

impl Failure {
    /// Every class.
    pub const ALL: [Failure; 8] = [
        Failure::Dns,
        Failure::Connect,
        Failure::Tls,
        Failure::Timeout,
        Failure::Protocol,
        Failure::Redirect,
        Failure::Status,
        Failure::Slow,
    ];

    /// The word that [`Check::error`] begins with.
    pub const fn as_str(self) -> &'static str {
        match self {
            Failure::Dns => "dns",
            Failure::Connect => "connect",
            Failure::Tls => "tls",
            Failure::Timeout => "timeout",
            Failure::Protocol => "protocol",
            Failure::Redirect => "redirect",
            Failure::Status => "status",
            Failure::Slow => "slow",
        }
    }

    /// The failure that an error text begins with; `None` for texts of other programs.
    pub fn of_error(error: &str) -> Option<Failure> {
        let word = error.split([' ', ':']).next()?;
        Failure::ALL.into_iter().find(|failure| failure.as_str() == word)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_is_read_back_from_its_word() {
        for status in [Status::Online, Status::Degraded, Status::Timeout, Status::Offline, Status::Unknown] {
            assert_eq!(Status::from_word(status.as_str()), status);
        }
    }

    #[test]
    fn a_word_nobody_knows_is_unknown() {
        for word in ["", "ONLINE", "up", "online "] {
            assert_eq!(Status::from_word(word), Status::Unknown);
        }
    }

    #[test]
    fn the_failure_is_the_first_word_of_the_error() {
        assert_eq!(Failure::of_error("dns: no such name, after 2 tries"), Some(Failure::Dns));
        assert_eq!(Failure::of_error("slow: 5200 ms, after 1 try"), Some(Failure::Slow));
        assert_eq!(Failure::of_error("Max retries exceeded"), None);
        assert_eq!(Failure::of_error(""), None);
    }
}
