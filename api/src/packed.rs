//! What the prober packed of the past of a service (`status_packed`, see the migrations), unpacked. Pure; what is not
//! whole is left out.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use shared::{Distribution, Failure};

use crate::outages::Run;

/// Rows of so many numbers of four bytes: the first tells the hour or the day, the others are counts.
pub fn rows<const N: usize>(packed: &[u8]) -> impl Iterator<Item = (i64, [u64; N])> {
    packed.chunks_exact(4 + 4 * N).map(|row| {
        let (number, counts) = row.split_at(4);
        let (counts, _) = counts.as_chunks::<4>();
        let count = |n: usize| counts.get(n).map_or(0, |bytes| i32::from_be_bytes(*bytes));
        (first_number(number), std::array::from_fn(|n| u64::try_from(count(n)).unwrap_or(0)))
    })
}

/// The response times of hours, each told by its number.
pub fn response_times(mut packed: &[u8]) -> Vec<(i64, Distribution)> {
    let mut hours = Vec::new();
    while let Some((head, rest)) = packed.split_at_checked(6) {
        let (number, length) = head.split_at(4);
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Some((encoded, rest)) = rest.split_at_checked(length) else { break };
        hours.extend(Distribution::decode(encoded).ok().map(|times| (first_number(number), times)));
        packed = rest;
    }
    hours
}

fn first_number(bytes: &[u8]) -> i64 {
    bytes.first_chunk().map_or(0, |bytes| i32::from_be_bytes(*bytes).into())
}

/// A run as the database's `status_runs` tells it.
#[derive(Deserialize)]
struct Told(i64, i64, u64, u64, u64, u64, Option<String>, Option<i64>, bool, Option<i64>);

/// The runs that `status_runs` tells; none where it is not what it tells.
pub fn runs(json: &str) -> Vec<Run> {
    let told: Vec<Told> = serde_json::from_str(json).unwrap_or_default();
    told.into_iter().filter_map(run).collect()
}

fn run(told: Told) -> Option<Run> {
    let Told(began, ended, checks, degraded, timeout, offline, failure, before, online_before, after) = told;
    Some(Run {
        began: instant(began)?,
        ended: instant(ended)?,
        checks,
        by_status: [degraded, timeout, offline],
        failure: failure.as_deref().and_then(Failure::of_error),
        before: before.and_then(instant),
        online_before,
        after: after.and_then(instant),
    })
}

fn instant(us: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_is_left_out_and_nothing_panics() {
        assert_eq!(rows::<2>(&[0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 9]).collect::<Vec<_>>(), [(1, [2, 3])]);
        assert_eq!(rows::<1>(&[0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0]).collect::<Vec<_>>(), [(-1, [0])]);
        let mut times = Distribution::default();
        times.add(70, 3);
        let encoded = times.encode();
        let mut packed = [0, 0, 0, 5, 0, u8::try_from(encoded.len()).unwrap()].to_vec();
        packed.extend(&encoded);
        let whole = packed.clone();
        packed.extend([0, 0, 0, 6, 0, 1, 0xff]);
        packed.extend([0, 0, 0, 7, 1]);
        assert_eq!(response_times(&packed), [(5, times)]);
        for end in 0..whole.len() {
            assert!(response_times(&whole[..end]).is_empty());
        }
        for broken in [
            "",
            "{}",
            "[[1]]",
            "[[1,2,3,4,5,6,null,null,false]]",
            "[[9223372036854775807,0,0,0,0,0,null,null,true,null]]",
        ] {
            assert!(runs(broken).is_empty(), "{broken}");
        }
        let told = r#"[[0, 1000000, 2, 1, 1, 0, "dns", -1000000, true, null], [5, 5, 1, 0, 0, 1, "weird", null, false, 6]]"#;
        let runs = runs(told);
        assert_eq!(
            (runs[0].failure, runs[0].online_before, runs[1].failure),
            (Some(Failure::Dns), true, None)
        );
        assert_eq!(runs[1].after, instant(6));
    }
}
