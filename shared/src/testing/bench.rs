//! For benchmarks only: the machine's line, medians and spreads of interleaved pairs, and what a process weighs.

use std::{fmt, fs};

/// What a figure was measured on, in one line.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split(':').nth(1)).map_or("?", str::trim).to_owned()
    };
    let memory = after(&read("/proc/meminfo"), "MemTotal");
    let kib: f64 = memory.split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0.0);
    format!(
        "machine: {}, {} cores, {:.0} GiB, Linux {}",
        after(&read("/proc/cpuinfo"), "model name"),
        std::thread::available_parallelism().map_or(0, usize::from),
        kib / 1024.0 / 1024.0,
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// Figures of one kind, shown as their median and their span.
#[derive(Debug, Clone)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// At least one figure, in any order.
    pub fn new(mut figures: Vec<f64>) -> Figures {
        assert!(!figures.is_empty(), "nothing was measured");
        figures.sort_by(f64::total_cmp);
        Figures(figures)
    }

    /// The one in the middle.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The one that `percent` of them do not exceed.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent).div_ceil(100).max(1) - 1]
    }

    /// The largest.
    pub fn most(&self) -> f64 {
        self.percentile(100)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median(), self.0[0], self.most())
    }
}

/// Two ways to do the same, measured in turn so that whatever else the machine does meets both.
#[derive(Debug)]
pub struct Pairs {
    /// Of the first.
    pub ours: Figures,
    /// Of the second.
    pub reference: Figures,
    /// First / second, pair by pair.
    pub ratio: Figures,
}

impl Pairs {
    /// Measures `count` pairs; every second one begins with the reference.
    pub fn measure(count: usize, mut ours: impl FnMut() -> f64, mut reference: impl FnMut() -> f64) -> Pairs {
        let pairs: Vec<(f64, f64)> = (0..count)
            .map(|n| {
                if n % 2 == 0 {
                    let first = ours();
                    (first, reference())
                } else {
                    let second = reference();
                    (ours(), second)
                }
            })
            .collect();
        let figures = |of: fn(&(f64, f64)) -> f64| Figures::new(pairs.iter().map(of).collect());
        Pairs {
            ours: figures(|pair| pair.0),
            reference: figures(|pair| pair.1),
            ratio: figures(|pair| pair.0 / pair.1),
        }
    }
}

/// The resident memory of a process, in MiB.
pub fn resident_mib(process: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a running process");
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kib.map(|kib: f64| kib / 1024.0).expect("its resident memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_figures_that_were_measured() {
        let figures = Figures::new(vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((figures.median(), figures.percentile(95), figures.most()), (3.0, 5.0, 5.0));
        assert_eq!(figures.to_string(), "3.00 (1.00 to 5.00)");
        assert_eq!(Figures::new(vec![7.0]).median(), 7.0);
    }

    #[test]
    fn the_ratio_is_of_pairs_and_their_order_alternates() {
        let order = std::cell::RefCell::new(String::new());
        let say = |letter, figure| {
            order.borrow_mut().push(letter);
            figure
        };
        let pairs = Pairs::measure(3, || say('a', 1.0), || say('b', 4.0));
        assert_eq!((pairs.ratio.median(), order.borrow().as_str()), (0.25, "abbaab"));
    }
}
