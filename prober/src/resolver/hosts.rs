//! The hosts file (hosts(5)): names that need no name server.

use std::{collections::HashMap, net::IpAddr};

/// Addresses by lower-case name, in the order of the file.
#[derive(Debug, Default)]
pub(crate) struct Hosts(HashMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Lines that make no sense are skipped, as the C library does.
    pub(crate) fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        for line in text.lines() {
            hosts.add(line.split('#').next().unwrap_or_default());
        }
        hosts
    }

    fn add(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let Some(address) = words.next().and_then(|word| word.parse().ok()) else { return };
        for name in words {
            self.0.entry(key(name)).or_default().push(address);
        }
    }

    /// What the file says of a name; empty where it says nothing.
    pub(crate) fn find(&self, name: &str) -> &[IpAddr] {
        if self.0.is_empty() { &[] } else { self.0.get(&key(name)).map_or(&[], Vec::as_slice) }
    }
}

/// Names differ neither by case nor by the root's dot.
fn key(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_whatever_their_case_and_comments_are_not() {
        let hosts =
            Hosts::parse("10.0.0.1 Alpha alpha.lan # beta\n#10.0.0.9 gamma\n\n::1 alpha\nnonsense delta\n");
        assert_eq!(hosts.find("ALPHA."), ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(hosts.find("alpha.lan").len(), 1);
        for unknown in ["beta", "gamma", "delta", "#", ""] {
            assert!(hosts.find(unknown).is_empty(), "{unknown}");
        }
    }
}
