//! What clients of a Statuspage ask (its API v2): the same facts in its words, of which it has fewer. What is unknown is
//! never operational: it has no word for that, and the mildest one that is not green is taken.

use serde::Serialize;
use shared::Status;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    json::instant,
    outages::Outage,
    site::Site,
    snapshot::{Overall, ServiceState, Snapshot, Source},
    words,
};

/// All of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageSummary)]
pub struct Summary {
    page: Page,
    components: Vec<Component>,
    /// The outages that go on, newest first.
    incidents: Vec<Incident>,
    /// None: nothing is scheduled here.
    #[schema(value_type = Vec<Object>)]
    scheduled_maintenances: [(); 0],
    status: Indicator,
}

/// The one word over all services.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageStatus)]
pub struct StatusAnswer {
    page: Page,
    status: Indicator,
}

/// The services, and the groups they stand in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageComponents)]
pub struct Components {
    page: Page,
    components: Vec<Component>,
}

/// The status page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspagePage)]
struct Page {
    /// Of this page as long as its address stays.
    #[schema(value_type = String)]
    id: Uuid,
    name: String,
    /// Where people find it; a path where this server was not told its origin.
    url: String,
    #[schema(value_type = String)]
    time_zone: &'static str,
    /// The instant that all of it is as of.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// How things stand in one word.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageIndicator)]
struct Indicator {
    /// `none` where all is well, `minor` where services are degraded or nothing is known, `major` where any is offline or
    /// times out, `critical` where half of them are offline.
    #[schema(value_type = String, example = "none")]
    indicator: &'static str,
    /// The same as on the page.
    #[schema(value_type = String, example = "All Systems Operational")]
    description: &'static str,
}

/// A service, or a group of them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageComponent)]
struct Component {
    /// The service's id; of a group, one of its own.
    id: String,
    name: String,
    /// `operational`, `degraded_performance` (degraded, or unknown), `partial_outage` (timeout) or `major_outage`
    /// (offline).
    #[schema(value_type = String, example = "operational")]
    status: &'static str,
    #[schema(format = DateTime)]
    created_at: Option<String>,
    /// When the newest check began.
    #[schema(format = DateTime)]
    updated_at: Option<String>,
    /// From 1, in the order of the page.
    position: usize,
    /// Why it is not operational, in words.
    description: Option<String>,
    showcase: bool,
    #[schema(format = Date)]
    start_date: Option<String>,
    /// That of the group it stands in.
    group_id: Option<String>,
    #[schema(value_type = String)]
    page_id: Uuid,
    /// Whether it is a group.
    group: bool,
    only_show_if_degraded: bool,
    /// Those of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    components: Option<Vec<String>>,
}

/// An outage that goes on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageIncident)]
struct Incident {
    #[schema(value_type = String)]
    id: Uuid,
    name: String,
    /// Always `investigating`: what is found is over by itself.
    #[schema(value_type = String)]
    status: &'static str,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    monitoring_at: Option<String>,
    #[schema(format = DateTime)]
    resolved_at: Option<String>,
    /// `minor` where it is degraded, else `major`.
    #[schema(value_type = String)]
    impact: &'static str,
    /// Where people read of it.
    shortlink: String,
    #[schema(format = DateTime)]
    started_at: String,
    #[schema(value_type = String)]
    page_id: Uuid,
    incident_updates: Vec<Update>,
    components: Vec<Component>,
}

/// What is told of an outage.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = StatuspageIncidentUpdate)]
struct Update {
    #[schema(value_type = String)]
    id: Uuid,
    #[schema(value_type = String)]
    status: &'static str,
    body: String,
    #[schema(value_type = String)]
    incident_id: Uuid,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(format = DateTime)]
    display_at: String,
}

impl Summary {
    /// Of what is known.
    pub fn of(snapshot: &Snapshot, site: &Site) -> Summary {
        let page = Page::of(snapshot, site);
        let mut ongoing: Vec<(&ServiceState, &Outage)> = snapshot
            .services
            .iter()
            .filter_map(|state| Some((state, state.past.outages.last().filter(|last| last.after.is_none())?)))
            .collect();
        ongoing.sort_by_key(|(_, outage)| std::cmp::Reverse(outage.began));
        let incidents = ongoing.into_iter().map(|(state, outage)| Incident::of(state, outage, &page, site));
        Summary {
            incidents: incidents.collect(),
            components: components(snapshot, page.id),
            scheduled_maintenances: [],
            status: Indicator::of(snapshot),
            page,
        }
    }
}

impl StatusAnswer {
    /// Of what is known.
    pub fn of(snapshot: &Snapshot, site: &Site) -> StatusAnswer {
        StatusAnswer { page: Page::of(snapshot, site), status: Indicator::of(snapshot) }
    }
}

impl Components {
    /// Of what is known.
    pub fn of(snapshot: &Snapshot, site: &Site) -> Components {
        let page = Page::of(snapshot, site);
        Components { components: components(snapshot, page.id), page }
    }
}

impl Page {
    fn of(snapshot: &Snapshot, site: &Site) -> Page {
        Page {
            id: site.id(""),
            name: site.title.clone(),
            url: site.address("/status"),
            time_zone: "Etc/UTC",
            updated_at: instant(snapshot.as_of),
        }
    }
}

impl Indicator {
    fn of(snapshot: &Snapshot) -> Indicator {
        let is_down = |state: &ServiceState| matches!(state.status, Status::Offline | Status::Timeout);
        // Nobody is told that all is well by a monitor that is silent or can't be read.
        let overall = if snapshot.source == Source::Live { snapshot.overall } else { Overall::Unknown };
        let indicator = match overall {
            Overall::Operational => "none",
            Overall::Major => "critical",
            Overall::Partial if snapshot.services.iter().any(is_down) => "major",
            Overall::Partial | Overall::Unknown => "minor",
        };
        Indicator { indicator, description: overall.as_str() }
    }
}

/// Each group before its services.
fn components(snapshot: &Snapshot, page_id: Uuid) -> Vec<Component> {
    let mut components: Vec<Component> = Vec::new();
    for state in &snapshot.services {
        let group_id = state.service.group.as_deref().map(|group| format!("group:{group}"));
        if let (Some(id), Some(name)) = (&group_id, &state.service.group) {
            let place =
                components.iter().position(|known| known.group && known.id == *id).unwrap_or_else(|| {
                    components.push(Component::of_group(id, name, components.len() + 1, page_id));
                    components.len() - 1
                });
            let group = &mut components[place];
            group.components.get_or_insert_default().push(state.service.id.clone());
            group.status = worse(group.status, word(state.status));
        }
        components.push(Component::of(state, group_id, components.len() + 1, page_id));
    }
    components
}

impl Component {
    fn of(state: &ServiceState, group_id: Option<String>, position: usize, page_id: Uuid) -> Component {
        Component {
            id: state.service.id.clone(),
            name: state.service.name.clone(),
            status: word(state.status),
            created_at: None,
            updated_at: state.newest.as_ref().map(|newest| instant(newest.timestamp)),
            position,
            description: words::reason(state),
            showcase: false,
            start_date: None,
            group_id,
            page_id,
            group: false,
            only_show_if_degraded: false,
            components: None,
        }
    }

    fn of_group(id: &str, name: &str, position: usize, page_id: Uuid) -> Component {
        Component {
            id: id.into(),
            name: name.into(),
            status: WORDS[0],
            created_at: None,
            updated_at: None,
            position,
            description: None,
            showcase: false,
            start_date: None,
            group_id: None,
            page_id,
            group: true,
            only_show_if_degraded: false,
            components: Some(Vec::new()),
        }
    }
}

/// From the mildest to the worst.
const WORDS: [&str; 4] = ["operational", "degraded_performance", "partial_outage", "major_outage"];

fn word(status: Status) -> &'static str {
    match status {
        Status::Online => WORDS[0],
        Status::Degraded | Status::Unknown => WORDS[1],
        Status::Timeout => WORDS[2],
        Status::Offline => WORDS[3],
    }
}

fn worse(a: &'static str, b: &'static str) -> &'static str {
    WORDS.into_iter().rev().find(|word| *word == a || *word == b).unwrap_or(a)
}

impl Incident {
    fn of(state: &ServiceState, outage: &Outage, page: &Page, site: &Site) -> Incident {
        let (id, status) = (site.id_of(&state.service.id, outage), "investigating");
        let (began, latest) = (instant(outage.began), instant(outage.ended));
        let cause = words::cause(outage.status, outage.failure, None, &state.service);
        Incident {
            id,
            name: format!("{}: {cause}", state.service.name),
            status,
            created_at: began.clone(),
            updated_at: latest.clone(),
            monitoring_at: None,
            resolved_at: None,
            impact: if outage.status == Status::Degraded { "minor" } else { "major" },
            shortlink: site.address(&outage.path(&state.service.id)),
            started_at: began.clone(),
            page_id: page.id,
            incident_updates: vec![Update {
                id,
                status,
                body: format!("{cause}. {} since then.", words::checks(outage.checks)),
                incident_id: id,
                created_at: began.clone(),
                updated_at: latest,
                display_at: began,
            }],
            components: vec![Component::of(state, None, 1, page.id)],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        look::Look,
        sample::{main, snapshot},
    };

    fn told(snapshot: &Snapshot) -> (&'static str, &'static str) {
        let status = StatusAnswer::of(snapshot, &Site::new(None, "", Look::default())).status;
        (status.indicator, status.description)
    }

    fn of(statuses: &[Status]) -> Snapshot {
        let state = |status: &Status| ServiceState { status: *status, ..main() };
        let overall = Overall::of(statuses);
        Snapshot { overall, ..snapshot(statuses.iter().map(state).collect()) }
    }

    #[test]
    fn each_state_of_the_page_has_its_indicator() {
        use Status::{Degraded, Offline, Online, Timeout, Unknown};
        for (statuses, indicator) in [
            (&[Online, Online][..], "none"),
            (&[Online, Degraded], "minor"),
            (&[Online, Online, Timeout], "major"),
            (&[Online, Online, Offline], "major"),
            (&[Online, Offline], "critical"),
            (&[Online, Unknown], "minor"),
            (&[], "minor"),
        ] {
            assert_eq!(told(&of(statuses)).0, indicator, "{statuses:?}");
        }
    }

    #[test]
    fn a_monitor_that_is_silent_or_away_says_of_nothing_that_it_is_well() {
        for source in [Source::Silent { since: None }, Source::Away, Source::Empty, Source::NeverRead] {
            assert_eq!(told(&Snapshot { source, ..of(&[Status::Online]) }), ("minor", "Status Unknown"));
        }
    }

    #[test]
    fn a_group_stands_before_its_services_and_is_as_well_as_the_worst() {
        let mut states: Vec<ServiceState> = [Status::Online, Status::Unknown, Status::Offline]
            .map(|status| ServiceState { status, ..main() })
            .to_vec();
        for (state, (id, group)) in states.iter_mut().zip([("a", Some("G")), ("b", None), ("c", Some("G"))]) {
            let service = std::sync::Arc::make_mut(&mut state.service);
            (service.id, service.group) = (id.into(), group.map(Into::into));
        }
        let answer = Components::of(&snapshot(states), &Site::new(None, "", Look::default()));
        let told: Vec<_> =
            answer.components.iter().map(|one| (one.id.as_str(), one.status, one.position)).collect();
        assert_eq!(
            told,
            [
                ("group:G", "major_outage", 1),
                ("a", "operational", 2),
                ("b", "degraded_performance", 3),
                ("c", "major_outage", 4)
            ]
        );
        assert_eq!(answer.components[0].components.as_deref(), Some(&["a".to_owned(), "c".to_owned()][..]));
        assert_eq!(answer.components[3].group_id.as_deref(), Some("group:G"));
    }
}
