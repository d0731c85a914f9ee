//! What `check-config` prints: what would be checked, how and when, without a secret in it.

use std::{
    io::{self, Write},
    time::Duration,
};

use super::{
    Style,
    table::{self, Cell, Edge, Tone},
};
use crate::{
    config::{Remark, Services, duration::print, statuses},
    target::{Family, Method, Target},
};

/// Writes a table of the targets, what is unusual about each, and a closing line.
///
/// # Errors
/// Those of `out`.
pub fn write_plan(services: &Services, style: Style, out: &mut impl Write) -> io::Result<()> {
    let headings = [
        ("id", Edge::Left),
        ("name", Edge::Left),
        ("every", Edge::Right),
        ("timeout", Edge::Right),
        ("slow after", Edge::Right),
        ("retries", Edge::Left),
        ("expect", Edge::Left),
        ("request", Edge::Left),
    ];
    let each = || services.targets.iter().zip(&services.remarks);
    let rows: Vec<_> = each().map(|(target, remark)| row(target, remark)).collect();
    table::write(headings, &rows, style, out)?;
    writeln!(out)?;
    each().try_for_each(|(target, remark)| write_unusual(target, remark, out))?;
    write_monitor(services, out)?;
    writeln!(out, "{}", closing(&services.targets))
}

fn row(target: &Target, remark: &Remark) -> [Cell; 8] {
    let retries = match target.retries {
        0 => "none".to_owned(),
        retries => format!("{retries} after {}", print(target.retry_delay)),
    };
    [
        Cell::new(&target.id, Tone::Plain),
        (*target.name).into(),
        print(target.interval).into(),
        print(target.timeout).into(),
        print(target.slow_after).into(),
        retries.into(),
        statuses::print(&target.expect).into(),
        format!("{} {}", word(target.method), remark.url).into(),
    ]
}

fn word(method: Method) -> &'static str {
    match method {
        Method::Head => "HEAD",
        Method::Get => "GET",
    }
}

fn write_unusual(target: &Target, remark: &Remark, out: &mut impl Write) -> io::Result<()> {
    let unusual = unusual(target, remark);
    if unusual.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}: {}", target.id, unusual.join("; "))
}

/// What the table does not tell and most targets do not have.
fn unusual(target: &Target, remark: &Remark) -> Vec<String> {
    let names: Vec<_> = target.headers.iter().map(|(name, _)| &**name).collect();
    let certificates = target.authorities.as_ref().map(|found| found.len());
    [
        (!remark.lowered.is_empty()).then(|| format!("lowered to fit: {}", remark.lowered.join(", "))),
        (!names.is_empty()).then(|| format!("sends {}", names.join(", "))),
        has_user(target).then(|| "sends a user and password".to_owned()),
        certificates.map(|count| format!("trusts the certificates of its ca_file ({count}) and no others")),
        family(target.family).map(str::to_owned),
        target.private_redirects.then(|| "follows redirects into private networks".to_owned()),
        link(target, remark),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn has_user(target: &Target) -> bool {
    !target.url.username().is_empty() || target.url.password().is_some()
}

fn family(family: Family) -> Option<&'static str> {
    match family {
        Family::Any => None,
        Family::V4 => Some("IPv4 only"),
        Family::V6 => Some("IPv6 only"),
    }
}

/// Where visitors are sent, if that is not what is asked.
fn link(target: &Target, remark: &Remark) -> Option<String> {
    match &target.link {
        None => Some("no link".to_owned()),
        Some(link) if *link != remark.url => Some(format!("links to {link}")),
        Some(_) => None,
    }
}

fn write_monitor(services: &Services, out: &mut impl Write) -> io::Result<()> {
    if let Some(age) = services.retention {
        writeln!(out, "raw checks are removed at the age of {}", print(age))?;
    }
    match &*services.canary {
        [] => Ok(()),
        // Only hosts: what stands behind them may hold a token.
        urls => writeln!(
            out,
            "canaries: {}",
            urls.iter().filter_map(|url| url.host_str()).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn closing(targets: &[Target]) -> String {
    let services = match targets.len() {
        1 => "1 service".to_owned(),
        count => format!("{count} services"),
    };
    let intervals = || targets.iter().map(|target| target.interval);
    let (least, most): (Duration, Duration) =
        (intervals().min().unwrap_or_default(), intervals().max().unwrap_or_default());
    let every = if least == most { print(least) } else { format!("{} to {}", print(least), print(most)) };
    format!("{services}, every {every}; all tries fit")
}
