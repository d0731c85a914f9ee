//! The switch between themes, before the first paint and after, and the icon of the tab.

use crate::{
    browser::{Habits, Visitor},
    samples,
    site::Site,
};

const DARK: [&str; 2] = ["rgb(10, 13, 22)", "rgb(233, 236, 245)"];
const LIGHT: [&str; 2] = ["rgb(244, 246, 250)", "rgb(19, 24, 41)"];
const BLACK: [&str; 2] = ["rgb(0, 0, 0)", "rgb(233, 236, 245)"];
const WHITE: [&str; 2] = ["rgb(255, 255, 255)", "rgb(19, 24, 41)"];

fn visit(habits: &Habits) -> (Site, Visitor) {
    let site = Site::showing(samples::unwell());
    let visitor = Visitor::open(&site.url(), habits);
    (site, visitor)
}

/// The colours of the page and of its text.
fn colours(visitor: &Visitor) -> Vec<String> {
    visitor.eval("(({ backgroundColor, color }) => [backgroundColor, color])(getComputedStyle(document.documentElement))")
}

/// What the browser takes for the colour around the page.
fn around(visitor: &Visitor) -> String {
    visitor.eval("[...document.querySelectorAll('[name=theme-color]')].find((m) => matchMedia(m.media || 'all').matches).content")
}

/// Chooses the theme of this initial by the keyboard alone.
fn choose(visitor: &Visitor, initial: &str) {
    visitor.eval::<()>("document.querySelector('#theme').focus()");
    visitor.press("Home");
    for _ in 0.."SLDC".find(initial).unwrap() {
        visitor.press("ArrowDown");
    }
}

#[test]
fn a_chosen_theme_goes_before_the_system_and_is_remembered() {
    let (_site, visitor) = visit(&Habits::default());
    for dark in [true, false] {
        visitor.prefer(dark, &[]);
        let (system, system_around) = if dark { (DARK, "#0a0d16") } else { (LIGHT, "#f4f6fa") };
        for (initial, name, expected, expected_around) in [
            ("L", "light", LIGHT, "#f4f6fa"),
            ("D", "dark", DARK, "#0a0d16"),
            ("C", "contrast", if dark { BLACK } else { WHITE }, system_around),
            ("S", "", system, system_around),
        ] {
            choose(&visitor, initial);
            for _ in 0..2 {
                assert_eq!(colours(&visitor), expected, "{name}, system dark: {dark}");
                assert_eq!(around(&visitor), expected_around, "{name}, system dark: {dark}");
                assert_eq!(visitor.eval::<String>("document.querySelector('#theme').value"), name);
                visitor.reload();
            }
        }
    }
    assert_eq!(visitor.troubles(), [""; 0]);
}

#[test]
fn every_colour_is_that_of_the_chosen_theme() {
    let every = "[...document.querySelectorAll('*')].map((e) => { const s = getComputedStyle(e); \
                 return [s.color, s.backgroundColor, s.borderTopColor, s.fill, s.stroke, s.filter, s.outlineColor].join(); }).join()";
    let (_site, visitor) = visit(&Habits::default());
    let system = |dark| {
        visitor.prefer(dark, &[]);
        visitor.eval::<String>(every)
    };
    let (dark, light) = (system(true), system(false));
    assert!(dark != light);
    for (initial, expected) in [("D", &dark), ("L", &light)] {
        choose(&visitor, initial);
        visitor.eval::<()>("document.activeElement.blur()");
        for system_is_dark in [true, false] {
            assert!(&system(system_is_dark) == expected, "{initial}, system dark: {system_is_dark}");
        }
    }
}

#[test]
fn more_contrast_follows_the_system_in_every_theme() {
    let muted = "getComputedStyle(document.querySelector('.facts')).color";
    let (_site, visitor) = visit(&Habits::default());
    assert_eq!(visitor.eval::<String>(muted), "rgb(163, 172, 195)");
    for dark in [true, false] {
        visitor.prefer(dark, &[("prefers-contrast", "more")]);
        for (initial, [background, text]) in [
            ("S", if dark { BLACK } else { WHITE }),
            ("L", WHITE),
            ("D", BLACK),
            ("C", if dark { BLACK } else { WHITE }),
        ] {
            choose(&visitor, initial);
            assert_eq!(colours(&visitor), [background, text], "{initial}, dark: {dark}");
            assert_eq!(visitor.eval::<String>(muted), text);
        }
    }
    visitor.photograph("contrast");
}

#[test]
fn the_theme_is_chosen_before_anything_is_painted() {
    // What is true when the body begins is true before the first paint.
    let first = "localStorage.status = '{\"theme\": \"light\", \"only\": true}'; \
                 new MutationObserver((_, observer) => { \
                     if (!document.body) return; \
                     observer.disconnect(); \
                     window.atFirst = { ...document.documentElement.dataset }; \
                 }).observe(document, { childList: true, subtree: true });";
    let (_site, visitor) = visit(&Habits { first, ..Habits::default() });
    let at_first: Vec<String> = visitor.eval("[atFirst.theme, atFirst.only, String(atFirst.script)]");
    assert_eq!(at_first, ["light", "true", "undefined"]);
    assert_eq!(colours(&visitor), LIGHT);
}

#[test]
fn no_other_script_runs_in_the_page() {
    let (_site, visitor) = visit(&Habits::default());
    assert_eq!(visitor.troubles(), [""; 0]);
    visitor.eval::<()>(
        "void document.head.append(Object.assign(document.createElement('script'), { textContent: 'window.ran = 1' }))",
    );
    visitor.eventually("the policy is in force", "forbidden.some((f) => f.startsWith('script-src-elem'))");
    assert!(visitor.eval::<bool>("window.ran === undefined"));
}

#[test]
fn without_script_there_is_no_switch() {
    let (site, visitor) = visit(&Habits { script: false, ..Habits::default() });
    assert!(!visitor.sees("#theme"));
    visitor.go(&format!("{}/nowhere", site.url()));
    assert!(!visitor.sees("#theme"));
}

#[test]
fn the_chosen_theme_is_that_of_error_pages_too() {
    let (site, visitor) = visit(&Habits::default());
    choose(&visitor, "L");
    visitor.go(&format!("{}/nowhere", site.url()));
    assert_eq!(colours(&visitor), LIGHT);
    assert!(
        !visitor
            .eval::<bool>("document.querySelector('#theme').checkVisibility({ visibilityProperty: true })")
    );
}

#[test]
fn the_icon_of_the_tab_tells_the_overall_state() {
    let site = Site::showing(samples::well());
    let visitor = Visitor::open(&site.url(), &Habits::default());
    let icon =
        || visitor.eval::<String>("document.querySelector('[rel=icon]').href.split('/').pop().split('.')[0]");
    assert_eq!(icon(), "operational");
    let down = samples::well().services.into_iter();
    let down = down.map(|state| samples::found(state, shared::Status::Offline, None, None, None)).collect();
    for (snapshot, expected) in [
        (samples::unwell(), "partial"),
        (samples::snapshot(down), "major"),
        (samples::snapshot(vec![]), "unknown"),
        (samples::well(), "operational"),
    ] {
        site.show(snapshot);
        visitor.refresh();
        assert_eq!(icon(), expected);
        let asked = visitor.eval::<String>("document.querySelector('[rel=icon]').href");
        shared::testing::eventually("the browser asks for it", || visitor.requests().contains(&asked));
    }
    assert_eq!(visitor.troubles(), [""; 0]);
}
