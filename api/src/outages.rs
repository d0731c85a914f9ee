//! Outages: runs of checks that were not online, put together from the runs of each hour. Pure.

use chrono::{DateTime, Utc};
use shared::{Failure, Status};

use crate::json::instant;

/// A run of checks within one hour that were not online; what the database's `status_runs` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its first check.
    pub began: DateTime<Utc>,
    /// Its last one.
    pub ended: DateTime<Utc>,
    /// How many there are.
    pub checks: u64,
    /// Of these the degraded ones, the timeouts, and the offline ones.
    pub by_status: [u64; 3],
    /// The first class of failure that one of them tells.
    pub failure: Option<Failure>,
    /// The check before it, whatever that one was; `None` where there is none.
    pub before: Option<DateTime<Utc>>,
    /// Whether that one was online.
    pub online_before: bool,
    /// The check after it, if that one was online.
    pub after: Option<DateTime<Utc>>,
}

/// A run of checks of one service that were not online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The last online check before it: it began after this. `None` where there is none.
    pub before: Option<DateTime<Utc>>,
    /// Its first check: it began by then.
    pub began: DateTime<Utc>,
    /// Its last check: it ended after this.
    pub ended: DateTime<Utc>,
    /// The first online check after it: it ended by then. `None` while it goes on.
    pub after: Option<DateTime<Utc>>,
    /// How many checks it has.
    pub checks: u64,
    /// The worst of them.
    pub status: Status,
    /// The first class of failure that one of them tells.
    pub failure: Option<Failure>,
}

/// The outages that these runs are, in the same order: ascending.
pub fn of(runs: &[Run]) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for run in runs {
        match outages.last_mut().filter(|last| !run.online_before && run.before == Some(last.ended)) {
            Some(last) => last.go_on(run),
            None => outages.push(Outage::begin(run)),
        }
    }
    outages
}

/// So many of these, the least by a key, ascending; never many more of them are held.
pub fn least<T, K: Ord>(items: impl Iterator<Item = T>, most: usize, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut kept = Vec::new();
    for item in items {
        kept.push(item);
        if kept.len() > 2 * most {
            kept.sort_unstable_by_key(&key);
            kept.truncate(most);
        }
    }
    kept.sort_unstable_by_key(&key);
    kept.truncate(most);
    kept
}

impl Outage {
    fn begin(run: &Run) -> Outage {
        Outage {
            before: run.before.filter(|_| run.online_before),
            began: run.began,
            ended: run.ended,
            after: run.after,
            checks: run.checks,
            status: run.worst(),
            failure: run.failure,
        }
    }

    /// Where people read of it, below the base path: of the service of this id.
    pub fn path(&self, id: &str) -> String {
        format!("/status/services/{id}/outages/{}", instant(self.began))
    }

    fn go_on(&mut self, run: &Run) {
        self.ended = run.ended;
        self.after = run.after;
        self.checks += run.checks;
        self.status = worse(self.status, run.worst());
        self.failure = self.failure.or(run.failure);
    }
}

impl Run {
    fn worst(&self) -> Status {
        let [degraded, timeout, offline] = self.by_status;
        match (offline, timeout, degraded) {
            (1.., _, _) => Status::Offline,
            (_, 1.., _) => Status::Timeout,
            (_, _, 1..) => Status::Degraded,
            _ => Status::Unknown,
        }
    }
}

fn worse(a: Status, b: Status) -> Status {
    const WORST_FIRST: [Status; 3] = [Status::Offline, Status::Timeout, Status::Degraded];
    WORST_FIRST.into_iter().find(|status| *status == a || *status == b).unwrap_or(Status::Unknown)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + minute * 60, 0).unwrap()
    }

    fn run(began: i64, ended: i64, by_status: [u64; 3]) -> Run {
        Run {
            began: at(began),
            ended: at(ended),
            checks: by_status.iter().sum::<u64>().max(1),
            by_status,
            failure: None,
            before: Some(at(began - 1)),
            online_before: true,
            after: Some(at(ended + 1)),
        }
    }

    #[test]
    fn runs_of_hours_that_follow_one_another_are_one_outage() {
        let first = Run { after: None, failure: Some(Failure::Slow), ..run(50, 59, [3, 0, 0]) };
        let next = Run {
            before: Some(at(59)),
            online_before: false,
            failure: Some(Failure::Dns),
            ..run(60, 70, [0, 1, 2])
        };
        let apart = Run { failure: Some(Failure::Tls), ..run(90, 90, [0, 0, 1]) };
        let outages = of(&[first, next, apart]);
        assert_eq!(
            outages,
            [
                Outage {
                    before: Some(at(49)),
                    began: at(50),
                    ended: at(70),
                    after: Some(at(71)),
                    checks: 6,
                    status: Status::Offline,
                    failure: Some(Failure::Slow),
                },
                Outage {
                    before: Some(at(89)),
                    began: at(90),
                    ended: at(90),
                    after: Some(at(91)),
                    checks: 1,
                    status: Status::Offline,
                    failure: Some(Failure::Tls),
                }
            ]
        );
    }

    #[test]
    fn the_worst_check_tells_the_status_of_an_outage() {
        for (by_status, status) in [
            ([0, 0, 0], Status::Unknown),
            ([1, 0, 0], Status::Degraded),
            ([5, 1, 0], Status::Timeout),
            ([5, 5, 1], Status::Offline),
        ] {
            assert_eq!(of(&[run(0, 9, by_status)])[0].status, status);
            let goes_on = Run { before: Some(at(9)), online_before: false, ..run(10, 12, by_status) };
            assert_eq!(of(&[run(0, 9, [0, 0, 0]), goes_on])[0].status, status);
        }
    }

    proptest! {
        #[test]
        fn the_least_are_those_that_sorting_all_gives(items in prop::collection::vec(0..50, 0..200), most in 0_usize..30) {
            let mut sorted = items.clone();
            sorted.sort_unstable_by_key(|item| std::cmp::Reverse(*item));
            sorted.truncate(most);
            prop_assert_eq!(least(items.into_iter(), most, |item| std::cmp::Reverse(*item)), sorted);
        }
    }

    #[test]
    fn what_began_before_all_that_is_known_has_no_check_before_it() {
        let first = Run { before: Some(at(-1)), online_before: false, ..run(0, 9, [0, 0, 1]) };
        assert_eq!(of(&[first])[0].before, None);
    }
}
