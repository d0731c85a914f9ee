//! Uptime: the share of checks that were online, over windows that end now. Pure arithmetic.

/// A stretch of time that ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// The last 24 hours.
    Day,
    /// The last 168 hours.
    Week,
    /// The last 720 hours.
    Month,
    /// Since the first check.
    AllTime,
}

impl Window {
    /// Every window, shortest first.
    pub const ALL: [Window; 4] = [Window::Day, Window::Week, Window::Month, Window::AllTime];
    /// The windows that slide.
    pub const SLIDING: [Window; 3] = [Window::Day, Window::Week, Window::Month];

    /// The key in the JSON.
    pub const fn key(self) -> &'static str {
        match self {
            Window::Day => "24h",
            Window::Week => "7d",
            Window::Month => "30d",
            Window::AllTime => "all_time",
        }
    }

    /// The length in hours; `None` for all time.
    pub const fn hours(self) -> Option<u32> {
        match self {
            Window::Day => Some(24),
            Window::Week => Some(168),
            Window::Month => Some(720),
            Window::AllTime => None,
        }
    }
}

/// A percentage in thousandths, 0 to 100,000, cut and never rounded: 100 % means not one check failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// `online` of `total` checks; `None` where there was no check.
    pub fn of(online: u64, total: u64) -> Option<Percent> {
        let thousandths =
            u128::from(online.min(total)) * 100_000 / u128::from(std::num::NonZeroU64::new(total)?.get());
        u32::try_from(thousandths).ok().map(Percent)
    }

    /// 0 to 100,000.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// 0.0 to 100.0, the JSON's figure.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}
