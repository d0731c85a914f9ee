//! Where a list goes on: a mark in an order that new rows do not shift. Opaque to clients, and good for the question alone
//! that gave it. Pure.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::Deserialize;

/// No cursor of ours is longer.
const LONGEST: usize = 200;

/// The last row of an answer: the next one begins after it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Cursor {
    /// The check sum of the question that it continues.
    question: u32,
    /// The instant that the list is ordered by.
    pub at: DateTime<Utc>,
    /// What tells rows of the same instant apart, in their order.
    pub key: String,
}

impl Cursor {
    /// After the row of this instant and key, in the answer to a question: all of it but for the cursor and the limit.
    pub fn new(question: &str, at: DateTime<Utc>, key: impl Into<String>) -> Cursor {
        Cursor { question: crc32fast::hash(question.as_bytes()), at, key: key.into() }
    }

    /// Whether an answer to this question gave it.
    pub fn continues(&self, question: &str) -> bool {
        self.question == crc32fast::hash(question.as_bytes())
    }

    /// Its text in an address.
    pub fn encode(&self) -> String {
        let plain = format!("{:08x}.{}.{}", self.question, self.at.timestamp_micros(), self.key);
        let sum = crc32fast::hash(plain.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(format!("{sum:08x}.{plain}"))
    }

    fn decode(text: &str) -> Option<Cursor> {
        if text.len() > LONGEST {
            return None;
        }
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (sum, plain) = str::from_utf8(&bytes).ok()?.split_once('.')?;
        let mut parts = plain.splitn(3, '.');
        let (question, at, key) = (parts.next()?, parts.next()?, parts.next()?);
        let cursor = Cursor {
            question: u32::from_str_radix(question, 16).ok()?,
            at: DateTime::from_timestamp_micros(at.parse().ok()?)?,
            key: key.into(),
        };
        // One way to write it, and none that a hand finds.
        (u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(plain.as_bytes()) && cursor.encode() == text)
            .then_some(cursor)
    }
}

impl TryFrom<String> for Cursor {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Cursor, &'static str> {
        Cursor::decode(&text).ok_or("write the `next_cursor` of the answer before, or leave it out to begin")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_continues_its_own_question_alone(
            question in ".{0,80}", other in ".{0,80}", micros in -62_000_000_000_000_000_i64..250_000_000_000_000_000,
            key in "[A-Za-z0-9._-]{1,50}",
        ) {
            let cursor = Cursor::new(&question, DateTime::from_timestamp_micros(micros).unwrap(), key);
            let text = cursor.encode();
            prop_assert!(text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            prop_assert_eq!(Cursor::decode(&text).unwrap(), cursor.clone());
            prop_assert!(cursor.continues(&question));
            prop_assert_eq!(cursor.continues(&other), question == other);
        }

        #[test]
        fn what_nobody_gave_is_refused(text in ".{0,300}", at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            prop_assert!(Cursor::decode(&text).is_none());
            let mut changed = Cursor::new("q", DateTime::UNIX_EPOCH, "1").encode().into_bytes();
            let at = at.index(changed.len());
            let before = std::mem::replace(&mut changed[at], byte);
            let changed = String::from_utf8_lossy(&changed).into_owned();
            prop_assert_eq!(Cursor::decode(&changed).is_some(), before == byte);
        }
    }
}
