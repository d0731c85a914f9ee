//! Is it they or we? Where canaries are named, a check without an answer waits until they were asked: while not one of
//! them answers, it is this machine's own network that fails, and the check says nothing about its service.

use std::{sync::Arc, time::Duration};

use shared::{Check, Status};
use tokio::task::{JoinHandle, JoinSet};
use url::Url;

use crate::{
    checker::Checker,
    target::{Family, Method, Target},
};

/// One that takes longer is no help.
const PATIENCE: Duration = Duration::from_secs(5);

/// The canaries, and the checks that wait for their word.
#[derive(Default)]
pub(crate) struct Canary {
    targets: Vec<Arc<Target>>,
    /// The round under way; whether one of them answers.
    round: Option<JoinHandle<bool>>,
    /// What it decides.
    asked: Vec<Check>,
    /// What failed since it began: the next one decides.
    doubtful: Vec<Check>,
    /// Not one of them answered last.
    alone: bool,
    /// Checks that were not recorded since then.
    withheld: usize,
}

/// What a round decided.
pub(crate) enum Word {
    /// The services failed.
    They(Vec<Check>),
    /// This machine did, as far as anybody can tell.
    We(Vec<Check>),
}

impl Canary {
    /// Asks these from now on; none, if there is none.
    pub(crate) fn load(&mut self, urls: Vec<Url>) {
        self.targets = urls.into_iter().map(|url| Arc::new(target(url))).collect();
    }

    /// Whether a check has to wait for their word.
    pub(crate) fn doubts(&self, check: &Check) -> bool {
        !self.targets.is_empty() && matches!(check.status, Status::Offline | Status::Timeout)
    }

    /// Keeps a check until they were asked.
    pub(crate) fn keep(&mut self, check: Check, checker: &Checker) {
        self.doubtful.push(check);
        self.ask(checker);
    }

    /// Whether one of them answered; never where none is asked.
    pub(crate) async fn answered(&mut self) -> bool {
        match &mut self.round {
            // A round that failed by itself says nothing against the services either.
            Some(round) => round.await.unwrap_or(false),
            None => std::future::pending().await,
        }
    }

    /// What becomes of the checks that the round was for; it is over.
    pub(crate) fn decide(&mut self, one_answers: bool, checker: &Checker) -> Word {
        self.round = None;
        let decided = std::mem::take(&mut self.asked);
        let before = std::mem::replace(&mut self.alone, !one_answers);
        if !one_answers {
            if !before {
                log::warn!(
                    "no canary answers: this machine's own network fails; what gets no answer is not recorded"
                );
            }
            self.withheld += decided.len();
        } else if before {
            log::info!("a canary answers again; {}", self.told());
            self.withheld = 0;
        }
        self.ask(checker);
        if one_answers { Word::They(decided) } else { Word::We(decided) }
    }

    /// Whether a check waits for their word.
    pub(crate) fn is_asked(&self) -> bool {
        self.round.is_some()
    }

    /// At the end: what was not recorded.
    pub(crate) fn end(&mut self) {
        self.withheld += self.asked.len() + self.doubtful.len();
        if self.withheld > 0 {
            log::info!("{}", self.told());
        }
    }

    fn told(&self) -> String {
        format!("{} checks without an answer were not recorded", self.withheld)
    }

    fn ask(&mut self, checker: &Checker) {
        if self.round.is_some() || self.doubtful.is_empty() {
            return;
        }
        self.asked = std::mem::take(&mut self.doubtful);
        let (checker, targets) = (checker.clone(), self.targets.clone());
        self.round = Some(tokio::spawn(async move {
            // A reload took them away.
            if targets.is_empty() {
                return true;
            }
            let mut asked = JoinSet::new();
            for target in targets {
                let checker = checker.clone();
                asked.spawn(async move { checker.check(&target).await });
            }
            while let Some(answer) = asked.join_next().await {
                if answer.is_ok_and(|check| check.is_ok_and(|check| check.status_code.is_some())) {
                    return true;
                }
            }
            false
        }));
    }
}

/// Whatever it answers, it is there.
fn target(url: Url) -> Target {
    Target {
        id: "canary".into(),
        name: "canary".into(),
        group: None,
        link: None,
        url,
        headers: Vec::new(),
        authorities: None,
        interval: PATIENCE,
        timeout: PATIENCE,
        slow_after: PATIENCE,
        retries: 0,
        retry_delay: Duration::ZERO,
        expect: vec![100..=599],
        method: Method::Head,
        family: Family::Any,
        private_redirects: false,
    }
}
