//! Response times of any set of checks in some hundred bytes: quantiles within 5 %, and the exact least, most and count.
//! Every check that has a response time is in it, a timeout too: its response time is the timeout.
//! Which checks are summarised when is the prober's upkeep.

use std::{fmt, sync::LazyLock};

/// The last millisecond of each bucket and the one that stands for all of it, which is within 5 % of every other: to
/// 5 % above the first, and from there to the last that is not more than 5 % below. Bucket 0 begins at 0.
static BUCKETS: LazyLock<Vec<Bucket>> = LazyLock::new(|| {
    let mut buckets = Vec::new();
    let mut first = 0;
    while first <= LONGEST {
        let stands_for_all = first * 21 / 20;
        let last = stands_for_all * 20 / 19;
        buckets.push(Bucket { last, stands_for_all });
        first = last + 1;
    }
    buckets
});

/// The longest response time that a check can have.
const LONGEST: u64 = i32::MAX as u64;
/// A `u64` in groups of seven bits.
const LONGEST_VARINT: usize = 10;

struct Bucket {
    last: u64,
    stands_for_all: u64,
}

/// How many checks took how long, to the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Exact; nothing where there is no response time.
    range: Option<(u32, u32)>,
    /// Buckets that hold a check and how many, in ascending order.
    counts: Vec<(u8, u64)>,
}

/// Bytes that no distribution encodes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undecodable;

impl std::error::Error for Undecodable {}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these bytes are no distribution of response times")
    }
}

impl Distribution {
    /// Adds `count` checks of this response time in milliseconds. One below zero, which only a hand can have written,
    /// counts as zero.
    pub fn add(&mut self, response_time_ms: i32, count: u64) {
        if count == 0 {
            return;
        }
        let ms = u32::try_from(response_time_ms).unwrap_or(0);
        self.add_to(bucket_of(ms), count);
        self.widen(ms, ms);
    }

    /// Adds every check of another.
    pub fn merge(&mut self, other: &Distribution) {
        if let Some((min, max)) = other.range {
            other.counts.iter().for_each(|(bucket, count)| self.add_to(*bucket, *count));
            self.widen(min, max);
        }
    }

    /// How many checks it holds.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The shortest response time in milliseconds, exact.
    pub fn min(&self) -> Option<u32> {
        self.range.map(|(min, _)| min)
    }

    /// The longest response time in milliseconds, exact.
    pub fn max(&self) -> Option<u32> {
        self.range.map(|(_, max)| max)
    }

    /// The response time in milliseconds that the share `q` (0 to 1) of all checks does not exceed, by nearest rank as
    /// PostgreSQL's `percentile_disc` has it, within 5 %; `None` where there is no response time.
    pub fn quantile(&self, q: f64) -> Option<u32> {
        let (min, max) = self.range?;
        let rank = (q.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        let reaches = |(bucket, count): &&(u8, u64)| {
            seen = seen.saturating_add(*count);
            seen >= rank && BUCKETS.get(usize::from(*bucket)).is_some()
        };
        let found =
            self.counts.iter().find(reaches).and_then(|(bucket, _)| BUCKETS.get(usize::from(*bucket)));
        let ms = found.map_or(max, |bucket| u32::try_from(bucket.stands_for_all).unwrap_or(max));
        Some(ms.clamp(min, max))
    }

    /// Its bytes for the database: least and most, then each bucket with its count; none where there is no response
    /// time.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some((min, max)) = self.range {
            write(&mut bytes, u64::from(min));
            write(&mut bytes, u64::from(max));
            for (bucket, count) in &self.counts {
                bytes.push(*bucket);
                write(&mut bytes, *count);
            }
        }
        bytes
    }

    /// Reads what [`Distribution::encode`] wrote.
    ///
    /// # Errors
    /// Where nothing encodes to these bytes.
    pub fn decode(mut bytes: &[u8]) -> Result<Distribution, Undecodable> {
        if bytes.is_empty() {
            return Ok(Distribution::default());
        }
        let (min, max) = (read_ms(&mut bytes)?, read_ms(&mut bytes)?);
        let mut counts: Vec<(u8, u64)> = Vec::new();
        while let Some((bucket, rest)) = bytes.split_first() {
            bytes = rest;
            let count = read(&mut bytes)?;
            if count == 0 || counts.last().is_some_and(|(before, _)| before >= bucket) {
                return Err(Undecodable);
            }
            counts.push((*bucket, count));
        }
        let ends = counts.first().zip(counts.last()).ok_or(Undecodable)?;
        let belong = ends.0.0 == bucket_of(min) && ends.1.0 == bucket_of(max) && min <= max;
        belong.then_some(Distribution { range: Some((min, max)), counts }).ok_or(Undecodable)
    }

    fn add_to(&mut self, bucket: u8, count: u64) {
        match self.counts.binary_search_by_key(&bucket, |(known, _)| *known) {
            Ok(at) => self.counts[at].1 = self.counts[at].1.saturating_add(count),
            Err(at) => self.counts.insert(at, (bucket, count)),
        }
    }

    fn widen(&mut self, min: u32, max: u32) {
        let (least, most) = self.range.unwrap_or((min, max));
        self.range = Some((least.min(min), most.max(max)));
    }
}

fn bucket_of(ms: u32) -> u8 {
    let bucket = BUCKETS.partition_point(|bucket| bucket.last < u64::from(ms));
    u8::try_from(bucket).unwrap_or(u8::MAX)
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Result<u64, Undecodable> {
    let mut number = 0;
    for n in 0..LONGEST_VARINT {
        let (byte, rest) = bytes.split_first().ok_or(Undecodable)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7F);
        number |=
            bits.checked_shl(7 * n as u32).filter(|moved| moved >> (7 * n) == bits).ok_or(Undecodable)?;
        if byte & 0x80 == 0 {
            // One way to write a number: no empty groups behind it.
            return if *byte == 0 && n > 0 { Err(Undecodable) } else { Ok(number) };
        }
    }
    Err(Undecodable)
}

fn read_ms(bytes: &mut &[u8]) -> Result<u32, Undecodable> {
    read(bytes)?.try_into().ok().filter(|ms| u64::from(*ms) <= LONGEST).ok_or(Undecodable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn of(times: &[i32]) -> Distribution {
        let mut distribution = Distribution::default();
        times.iter().for_each(|ms| distribution.add(*ms, 1));
        distribution
    }

    /// What `percentile_disc` gives.
    fn nearest_rank(times: &[i32], q: f64) -> u32 {
        let mut sorted: Vec<u32> = times.iter().map(|ms| u32::try_from(*ms).unwrap_or(0)).collect();
        sorted.sort_unstable();
        sorted[(q * sorted.len() as f64).ceil().max(1.0) as usize - 1]
    }

    fn is_within_5_percent(found: u32, exact: u32) -> bool {
        u64::from(found.abs_diff(exact)) * 20 <= u64::from(exact)
    }

    /// Of all magnitudes alike, and by hand below zero.
    fn time() -> impl Strategy<Value = i32> {
        prop_oneof![4 => 0..=3000_i32, 2 => (0..31_u32, any::<i32>()).prop_map(|(bits, ms)| (ms & i32::MAX) >> bits), 1 => -5..=5_i32]
    }

    #[test]
    fn every_response_time_is_within_5_percent_of_what_stands_for_it_and_buckets_are_numbered_by_a_byte() {
        assert!(BUCKETS.len() <= 256, "{}", BUCKETS.len());
        let mut first = 0;
        for bucket in BUCKETS.iter() {
            let representative = bucket.stands_for_all;
            // Of a bucket the ends are the farthest.
            for ms in [first, bucket.last.min(LONGEST)] {
                assert!(representative.abs_diff(ms) * 20 <= ms, "{ms} by {representative}");
            }
            first = bucket.last + 1;
        }
        assert!(first > LONGEST);
        for ms in (0..=100_000).chain([i32::MAX as u32 - 1, i32::MAX as u32]) {
            let bucket = usize::from(bucket_of(ms));
            assert!(u64::from(ms) <= BUCKETS[bucket].last);
            assert!(bucket == 0 || u64::from(ms) > BUCKETS[bucket - 1].last, "{ms}");
        }
    }

    #[test]
    fn no_response_time_is_no_byte_and_no_quantile() {
        let none = Distribution::default();
        assert_eq!((none.encode().len(), none.quantile(0.5), none.min(), none.count()), (0, None, None, 0));
        assert_eq!(Distribution::decode(&[]), Ok(none));
    }

    #[test]
    fn the_form_of_the_bytes_is_what_databases_hold() {
        let mut distribution = of(&[0, 1, 143, 143, 10_000]);
        distribution.add(160, 200);
        assert_eq!(distribution.encode(), [0, 0x90, 0x4E, 0, 1, 1, 1, 39, 2, 40, 0xC8, 1, 81, 1]);
    }

    #[test]
    fn what_nothing_encodes_to_is_refused() {
        for (why, bytes) in [
            ("no most", &[5][..]),
            ("no bucket", &[5, 5]),
            ("no count", &[5, 5, 5]),
            ("an empty bucket", &[5, 5, 5, 0]),
            ("a bucket twice", &[5, 5, 5, 1, 5, 1]),
            ("least above most", &[6, 5, 5, 1]),
            ("a bucket below the least", &[5, 6, 4, 1, 6, 1]),
            ("a bucket above the most", &[5, 5, 5, 1, 6, 1]),
            ("longer than any response time", &[5, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 5, 1]),
            (
                "a number without end",
                &[5, 5, 5, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1],
            ),
            ("a number of 65 bits", &[5, 5, 5, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]),
            ("a number in more bytes than it needs", &[5, 5, 5, 0x81, 0]),
        ] {
            assert_eq!(Distribution::decode(bytes), Err(Undecodable), "{why}");
        }
        assert!(Distribution::decode(&[5, 5, 5, 1]).is_ok());
    }

    proptest! {
        #[test]
        fn quantiles_are_within_5_percent_of_sorting(times in vec(time(), 1..300), q in 0.0..=1.0_f64) {
            let distribution = of(&times);
            for q in [q, 0.0, 0.5, 0.95, 0.99, 1.0] {
                let (found, exact) = (distribution.quantile(q).unwrap(), nearest_rank(&times, q));
                prop_assert!(is_within_5_percent(found, exact), "{q}: {found}, not {exact}");
            }
            prop_assert_eq!(distribution.min(), Some(nearest_rank(&times, 0.0)));
            prop_assert_eq!(distribution.max(), Some(nearest_rank(&times, 1.0)));
            prop_assert_eq!(distribution.count(), times.len() as u64);
        }

        #[test]
        fn merged_is_what_all_together_are(left in vec(time(), 0..100), right in vec(time(), 0..100)) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            prop_assert_eq!(merged, of(&[left, right].concat()));
        }

        #[test]
        fn what_is_encoded_is_read_back(times in vec((time(), 0..u64::MAX / 200), 0..100)) {
            let mut distribution = Distribution::default();
            times.iter().for_each(|(ms, count)| distribution.add(*ms, *count));
            prop_assert_eq!(Distribution::decode(&distribution.encode()), Ok(distribution));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in vec(any::<u8>(), 0..60), q in any::<f64>()) {
            if let Ok(distribution) = Distribution::decode(&bytes) {
                prop_assert_eq!(distribution.encode(), bytes);
                distribution.quantile(q);
            }
        }

        #[test]
        fn bytes_that_were_damaged_do_no_harm(times in vec(time(), 1..50), at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = of(&times).encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(damaged) = Distribution::decode(&bytes) {
                let mut merged = of(&times);
                merged.merge(&damaged);
                merged.quantile(0.5);
            }
        }
    }
}
