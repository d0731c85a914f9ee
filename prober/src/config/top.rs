//! The top of the services file: defaults for all services, what holds for the whole monitor, the list of services.

use std::{ops::RangeInclusive, time::Duration};

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha256};
use url::Url;

use super::{
    Remark, Services, address, duration,
    section::{Entry, Reading, Section},
    service::{self, Ids},
    settings::{Level, Settings},
    unknown,
};
use crate::target::Target;

/// The longest window on the page is 90 days; what it shows must not be removed.
const RETENTION: RangeInclusive<Duration> =
    Duration::from_secs(91 * 86_400)..=Duration::from_secs(36_525 * 86_400);

/// Reads everything; `None` where there is no service. Every mistake is noted.
pub(super) fn read(reading: &Reading<'_>, mut section: Section<'_>) -> Option<Services> {
    let settings = Settings::built_in().overridden(&mut section, Level::Top);
    let retention = section.take("retention", retention).flatten();
    let canary = section.take("canary", canary).unwrap_or_default();
    let sound = reading.mistakes() == 0;
    let listed = section.take("services", services);
    unknown::refuse_at_top(section);
    if listed.is_none() && reading.mistakes() == 0 {
        reading.refuse(
            reading.text.trim_end().len(),
            "no service; write [[services]] with id, name and url".to_owned(),
        );
    }
    let (targets, remarks) = each(reading, listed?, sound.then_some(&settings)).into_iter().unzip();
    let fingerprint = BASE64_STANDARD.encode(Sha256::digest(reading.text));
    Some(Services { targets, retention, canary, remarks, fingerprint })
}

fn each(
    reading: &Reading<'_>,
    listed: Vec<Section<'_>>,
    defaults: Option<&Settings>,
) -> Vec<(Target, Remark)> {
    let mut ids = Ids::new();
    listed.into_iter().filter_map(|section| service::read(reading, section, defaults, &mut ids)).collect()
}

/// The services of the file, not yet read.
fn services<'a>(entry: &Entry<'a>) -> Result<Vec<Section<'a>>, String> {
    let instead = "is not a list of services; write [[services]], in double brackets, above each service";
    let elements = entry.elements("services").ok_or_else(|| instead.to_owned())?;
    if elements.is_empty() {
        return Err("holds no service; write [[services]] with id, name and url".to_owned());
    }
    Ok(elements.iter().filter_map(|element| element.noted(service_table(element))).collect())
}

fn service_table<'a>(entry: &Entry<'a>) -> Result<Section<'a>, String> {
    let table = entry.value.as_table();
    let table =
        table.ok_or_else(|| "is not a service; write [[services]] with id, name and url".to_owned())?;
    Ok(entry.reading.section(entry.at, table))
}

fn retention(entry: &Entry<'_>) -> Result<Option<Duration>, String> {
    let text = entry.string("\"forever\", or an age of at least \"91d\"")?.text;
    if text == "forever" {
        return Ok(None);
    }
    let age = duration::parse(&text).ok().filter(|age| RETENTION.contains(age));
    age.map(Some).ok_or_else(|| {
        "is neither forever nor an age of 91 days to 100 years; write \"forever\" or at least \"91d\""
            .to_owned()
    })
}

fn canary(entry: &Entry<'_>) -> Result<Vec<Url>, String> {
    let elements = entry.elements("canary");
    let elements =
        elements.ok_or_else(|| "is not a list; write canary = [\"https://example.com\"]".to_owned())?;
    let url =
        |entry: &Entry<'_>| address::parse(&entry.string("a URL in quotes, like \"https://example.com\"")?);
    Ok(elements.iter().filter_map(|element| element.noted(url(element))).collect())
}
