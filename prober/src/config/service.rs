//! One `[[services]]` of the file, read into the target that is checked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rustls::pki_types::CertificateDer;
use url::Url;

use super::{
    Remark, address, authorities,
    duration::print,
    headers,
    section::{Reading, Section},
    settings::{Level, Settings},
    text,
    tries::{self, Tries},
    unknown,
    variables::Expanded,
};
use crate::target::Target;
use shared::written::check_length;

/// The ids of the services so far, with the byte where each is written.
pub(super) type Ids = BTreeMap<String, usize>;

/// The keys that a service alone has, as far as they could be read.
struct Own {
    id: Option<String>,
    name: Option<String>,
    url: Option<(Url, Expanded)>,
    group: Option<String>,
    link: Option<Option<String>>,
    headers: Vec<(String, String)>,
    authorities: Option<Arc<Vec<CertificateDer<'static>>>>,
}

/// Reads a service; `None` where anything in it is wrong, which is then noted. `defaults` are `None` where the top
/// of the file is wrong itself: rules about more than one key are then not judged.
pub(super) fn read(
    reading: &Reading<'_>,
    mut section: Section<'_>,
    defaults: Option<&Settings>,
    ids: &mut Ids,
) -> Option<(Target, Remark)> {
    let (at, before) = (section.at, reading.mistakes());
    let own = Own::take(reading, &mut section, ids);
    let settings = defaults.unwrap_or(&Settings::built_in()).overridden(&mut section, Level::Service);
    unknown::refuse_in_service(section);
    let sound = defaults.is_some() && reading.mistakes() == before;
    sound.then(|| own.joined(reading, at, settings)).flatten()
}

impl Own {
    fn take(reading: &Reading<'_>, section: &mut Section<'_>, ids: &mut Ids) -> Own {
        Own {
            id: section.required("id", "main", |entry| unique(reading, text::id(entry)?, entry.at, ids)),
            name: section.required("name", "example.com", text::line),
            url: section.required("url", "https://example.com", |entry| {
                let expanded = entry.string("it in quotes, like \"https://example.com\"")?;
                Ok((address::parse(&expanded)?, expanded))
            }),
            group: section.take("group", text::line),
            link: section.take("link", text::link),
            headers: section.take("headers", headers::read).unwrap_or_default(),
            authorities: section.take("ca_file", authorities::read),
        }
    }

    /// A target of everything that was read, if its parts agree with each other.
    fn joined(self, reading: &Reading<'_>, at: usize, settings: Settings) -> Option<(Target, Remark)> {
        let (id, name, (url, expanded)) = (self.id?, self.name?, self.url?);
        let judged = |mistake| reading.refuse(at, format!("service {id:?}: {mistake}"));
        let (shown, cut) = address::shown_without_variables(&url, &expanded);
        let agreed = headers::agree(&self.headers, &url).map_err(judged);
        let link = self.link.map_or_else(|| link_of(shown.clone()).map(Some), Ok).map_err(judged);
        let tries = tries::fit(&settings).map_err(judged);
        let slow_after = slow_after(&settings);
        let slow_after = slow_after.map_err(|mistake| reading.refuse(settings.slow_after.at, mistake));
        let (link, tries, ()) = (link.ok()?, tries.ok()?, agreed.ok()?);
        let slow_after = slow_after.ok()?.min(tries.timeout);
        let url_shown = if cut { format!("{shown}…") } else { shown };
        let remark = Remark { url: url_shown, lowered: lowered(&settings, tries, slow_after) };
        let target = Target {
            id,
            name,
            group: self.group,
            link,
            url,
            headers: self.headers,
            authorities: self.authorities,
            interval: settings.interval.value,
            timeout: tries.timeout,
            slow_after,
            retries: tries.retries,
            retry_delay: tries.retry_delay,
            expect: settings.expect.value,
            method: settings.method.value,
            family: settings.family.value,
            private_redirects: settings.private_redirects.value,
        };
        Some((target, remark))
    }
}

fn unique(reading: &Reading<'_>, id: String, at: usize, ids: &mut Ids) -> Result<String, String> {
    if let Some(first) = ids.get(&id) {
        return Err(format!(
            "is the id of the service at line {} already; write another",
            reading.line(*first)
        ));
    }
    ids.insert(id.clone(), at);
    Ok(id)
}

/// The link of a service that names none: its URL, as far as it may be shown.
fn link_of(shown: String) -> Result<String, String> {
    let fits = check_length(&shown, text::LONGEST).map(|()| shown);
    fits.map_err(|mistake| format!("its url is its link too and {mistake}, or set link"))
}

/// A `slow_after` beyond the timeout could never be: one that is written beside the timeout, or nearer to the
/// service, is refused; one from further away, or beyond a timeout that had to be lowered, ends at the timeout.
fn slow_after(Settings { slow_after, timeout, .. }: &Settings) -> Result<Duration, String> {
    if slow_after.value > timeout.value && slow_after.level >= timeout.level {
        return Err(format!(
            "slow_after of {} is more than the timeout of {}: no answer could be slow; \
             lower slow_after or raise timeout",
            print(slow_after.value),
            print(timeout.value)
        ));
    }
    Ok(slow_after.value)
}

/// The values that are lower than what holds elsewhere, as the file would write them.
fn lowered(settings: &Settings, tries: Tries, slow_after: Duration) -> Vec<String> {
    let duration =
        |key, wished: Duration, got: Duration| (got < wished).then(|| format!("{key} = \"{}\"", print(got)));
    let retries = (tries.retries < settings.retries.value).then(|| format!("retries = {}", tries.retries));
    let all = [
        duration("timeout", settings.timeout.value, tries.timeout),
        duration("slow_after", settings.slow_after.value, slow_after),
        retries,
        duration("retry_delay", settings.retry_delay.value, tries.retry_delay),
    ];
    all.into_iter().flatten().collect()
}
