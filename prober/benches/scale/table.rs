//! What was to be seen, and what was.

use std::fmt;

/// Said as it comes, and once more in the end.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 3]>);

impl Table {
    pub(crate) fn add(&mut self, what: &str, aim: &str, seen: impl fmt::Display) {
        let row = [what.to_owned(), aim.to_owned(), seen.to_string()];
        println!("  {}: {} (aim: {})", row[0], row[2], row[1]);
        self.0.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | aim | seen |\n| --- | --- | --- |")?;
        self.0.iter().try_for_each(|[what, aim, seen]| writeln!(f, "| {what} | {aim} | {seen} |"))
    }
}

/// The figure that a share of them do not exceed; they are sorted.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.max(1) - 1).copied().unwrap_or(f64::NAN)
}
