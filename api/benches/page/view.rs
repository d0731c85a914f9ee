//! The first view: its bytes in each form, its requests, how long the api draws it, and how soon it is seen beside the
//! same bytes from nginx.

use std::{thread::sleep, time::Duration};

use headless_chrome::protocol::cdp::Network;
use shared::testing::{Cluster, bench::Figures};

use crate::{
    browser::{Habits, Visitor},
    mirror::{File, Mirror},
    served::Served,
};

/// Loads of ours and of nginx's, one after the other, with nothing kept by the browser.
const PAIRS: usize = 15;
/// Changes that the api draws anew; it publishes one a second.
const CHANGES: u32 = 10;
const BETWEEN_CHANGES: Duration = Duration::from_millis(1200);

const FORMS: [&str; 3] = ["identity", "gzip", "br"];
const KINDS: [&str; 4] = ["html", "css", "javascript", "image"];
/// Of the whole first view with fifty services, compressed.
const AT_MOST: usize = 60 * 1024;

/// What the browser tells of one load, in milliseconds; and how far things moved meanwhile.
#[derive(serde::Deserialize)]
struct Load {
    paint: f64,
    load: f64,
    shift: f64,
}

const SEEN: &str = "new Promise((done) => {
    let shift = 0;
    new PerformanceObserver((list) => list.getEntries().forEach(({ value }) => (shift += value)))
        .observe({ type: 'layout-shift', buffered: true });
    const paint = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime;
    const { loadEventEnd: load } = performance.getEntriesByType('navigation')[0];
    const tell = () => (paint() ? done({ paint: paint(), load, shift }) : setTimeout(tell, 100));
    setTimeout(tell, 300);
})";

pub(crate) fn measure(cluster: &Cluster) {
    [5, 50, 200].into_iter().for_each(|services| show(cluster, services));
}

fn show(cluster: &Cluster, services: u32) {
    let mut served = Served::start(cluster, services);
    for n in 0..CHANGES {
        served.add_check(n % services);
        sleep(BETWEEN_CHANGES);
    }
    let visitor = Visitor::open(&served.page(), &Habits { live: true, ..Habits::default() });
    visitor.eventually("it listens", "performance.getEntriesByType('resource').length > 2");
    let requests = visitor.requests();
    let strangers: Vec<_> = requests.iter().filter(|url| !url.starts_with(&served.address)).collect();
    assert!(strangers.is_empty(), "requests to others than the api: {strangers:?}");
    println!("\n{services} services: {} requests, every one to the api itself", requests.len());
    requests.iter().for_each(|url| println!("  {}", &url[served.address.len()..]));
    let files = bytes(&served, services, &files_of(&visitor, requests));
    let mirror = Mirror::of(&files);
    beside(&visitor, &served.page(), &format!("{}/status", mirror.address));
    drop(visitor);
    drawn(served, services);
}

/// The files of the first view: what was asked for, and the icon, which a browser without a window leaves out.
fn files_of(visitor: &Visitor, mut requests: Vec<String>) -> Vec<String> {
    requests.extend(
        visitor.eval::<Vec<String>>("[...document.querySelectorAll('link[rel~=icon]')].map((l) => l.href)"),
    );
    requests.retain(|url| !url.ends_with("/events"));
    requests.sort();
    requests.dedup();
    requests
}

/// Prints what travels of each kind and form, and gives it by brotli.
fn bytes(served: &Served, services: u32, files: &[String]) -> Vec<File> {
    println!("  bytes       HTML   style  script   icons   first view");
    let mut kept = Vec::new();
    for form in FORMS {
        let mut sums = [0; KINDS.len()];
        for url in files {
            let (content_type, bytes) = get(url, form);
            let kind = KINDS.iter().position(|kind| content_type.contains(kind));
            sums[kind.unwrap_or_else(|| panic!("{url} is {content_type}"))] += bytes.len();
            if form == "br" {
                let path = url[served.address.len()..].to_owned();
                kept.push(File { path, content_type, bytes });
            }
        }
        let whole: usize = sums.iter().sum();
        let [html, style, script, icons] = sums;
        println!(
            "  {form:<9}{html:>7} {style:>7} {script:>7} {icons:>7}   {whole:>7} ({:.1} KiB)",
            whole as f64 / 1024.0
        );
        assert!(
            services > 50 || form == "identity" || whole <= AT_MOST,
            "{form}: more than {AT_MOST} bytes for {services} services"
        );
    }
    kept
}

/// The type and the bytes as they come.
fn get(url: &str, form: &str) -> (String, Vec<u8>) {
    let agent: ureq::Agent = ureq::Agent::config_builder().proxy(None).build().into();
    let mut answer = agent.get(url).header("Accept-Encoding", form).call().unwrap();
    let header = |name: &str| answer.headers().get(name).map_or("", |value| value.to_str().unwrap());
    assert!(["", form].contains(&header("content-encoding")), "{url}: {}", header("content-encoding"));
    let content_type = header("content-type").to_owned();
    (content_type, answer.body_mut().with_config().limit(u64::MAX).read_to_vec().unwrap())
}

/// Prints when the page is seen, ours and nginx's.
fn beside(visitor: &Visitor, ours: &str, reference: &str) {
    let pairs: Vec<(Load, Load)> = (0..PAIRS)
        .map(|n| {
            if n % 2 == 0 {
                let first = load(visitor, ours);
                (first, load(visitor, reference))
            } else {
                let second = load(visitor, reference);
                (load(visitor, ours), second)
            }
        })
        .collect();
    let told = |name: &str, of: fn(&Load) -> f64| {
        let figures =
            |of: &dyn Fn(&(Load, Load)) -> f64| Figures::new(pairs.iter().map(of).collect::<Vec<f64>>());
        println!(
            "  {name:<24} ours {:.0} ms, nginx {:.0} ms, ours/nginx {}",
            figures(&|(ours, _)| of(ours)),
            figures(&|(_, nginx)| of(nginx)),
            figures(&|(ours, nginx)| of(ours) / of(nginx))
        );
    };
    told("first contentful paint", |load| load.paint);
    told("load", |load| load.load);
    let shift = Figures::new(pairs.iter().map(|(ours, _)| ours.shift).collect());
    println!("  layout shift             at most {:.4}", shift.most());
}

fn load(visitor: &Visitor, url: &str) -> Load {
    visitor.tab.call_method(Network::ClearBrowserCache(None)).unwrap();
    visitor.go(url);
    visitor.resolve(SEEN)
}

/// Prints how long the api rendered and compressed page and JSON, by its own log.
fn drawn(served: Served, services: u32) {
    let (_, lines) = served.end();
    let label = format!(" {services} services rendered and compressed in ");
    let took = lines.iter().filter_map(|line| milliseconds(line.split_once(&label)?.1));
    println!(
        "  page and JSON rendered and compressed, by the api's log: {:.1} ms",
        Figures::new(took.collect())
    );
}

/// What a `Duration` looks like in a log.
fn milliseconds(text: &str) -> Option<f64> {
    [("µs", 0.001), ("ms", 1.0), ("s", 1_000.0)]
        .into_iter()
        .find_map(|(unit, factor)| Some(text.trim().strip_suffix(unit)?.parse::<f64>().ok()? * factor))
}
