//! The page's static files, compiled in but for the logo, and compressed once. Their names carry a hash of their content,
//! so that an answer may be kept for ever: another content is another name.

use crate::{
    body::Body,
    json,
    look::{Accent, Logo, Look, logo::Kind},
    snapshot::Overall,
};

/// What the routes may say about every asset.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// Of an SVG that somebody else drew: whoever opens it by itself sees it, and no script in it ever runs.
const FOREIGN_SVG: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

const STYLE: &str = include_str!("../static/style.css");
const PANELS: &str = include_str!("../static/panels.css");
const SCRIPT: &str = include_str!("../static/status.js");
const ICON: &str = include_str!("../static/favicon.svg");
const STATES: [(Overall, &str); 4] = [
    (Overall::Operational, include_str!("../static/operational.svg")),
    (Overall::Partial, include_str!("../static/partial.svg")),
    (Overall::Major, include_str!("../static/major.svg")),
    (Overall::Unknown, include_str!("../static/unknown.svg")),
];
/// What must run before the first paint. It stands in every page itself, not under an address.
pub const EARLY: &str = include_str!("../static/early.js");
/// The colour of the icon, which follows the accent.
const ICON_COLOUR: &str = "<g fill=\"#5271ff\">";

/// A static file of the page.
#[derive(Debug, Clone)]
pub struct Asset {
    /// Its name under `/status/assets/`, such as `style.0123456789abcdef.css`.
    pub name: String,
    /// Its media type.
    pub content_type: &'static str,
    /// Its content.
    pub body: Body,
    /// Its `Content-Security-Policy`, where it needs one.
    pub policy: Option<&'static str>,
}

/// All static files of a site.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The style sheet, in the colours of the site.
    pub style: Asset,
    /// The style sheet of what the first page does not have.
    pub panels: Asset,
    /// The script.
    pub script: Asset,
    /// The icon of the tab where no state is told.
    pub icon: Asset,
    /// The icons of the tab in each overall state.
    pub states: [Asset; 4],
    /// What stands beside the title, if it is not the mark.
    pub logo: Option<Asset>,
}

impl Assets {
    /// Those of a site that looks so.
    pub fn of(look: &Look) -> Assets {
        Assets {
            style: Asset::new("style", "css", "text/css; charset=utf-8", style(&look.accent)),
            panels: Asset::new("panels", "css", "text/css; charset=utf-8", PANELS.into()),
            script: Asset::new("status", "js", "text/javascript; charset=utf-8", SCRIPT.into()),
            icon: Asset::icon("favicon", icon(&look.accent)),
            states: STATES.map(|(overall, svg)| Asset::icon(json::overall(overall), svg.into())),
            logo: look.logo.as_ref().map(Asset::of_logo),
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Asset> {
        let files = [&self.style, &self.panels, &self.script, &self.icon];
        files.into_iter().chain(&self.states).chain(&self.logo)
    }

    /// The icon of the tab in this overall state.
    pub fn icon(&self, overall: Overall) -> &Asset {
        let place = STATES.iter().position(|(state, _)| *state == overall);
        place.and_then(|place| self.states.get(place)).unwrap_or(&self.icon)
    }

    /// The asset of that name, the hash included.
    pub fn find(&self, name: &str) -> Option<&Asset> {
        self.all().find(|asset| asset.name == name)
    }
}

fn style(accent: &Accent) -> String {
    let own = if *accent == Accent::default() { String::new() } else { accent.css() };
    format!("{STYLE}{own}")
}

fn icon(Accent { dark, light }: &Accent) -> String {
    let rule = match dark == light {
        true => String::new(),
        false => format!("<style>@media(prefers-color-scheme:light){{g{{fill:{light}}}}}</style>"),
    };
    ICON.replace(ICON_COLOUR, &format!("{rule}<g fill=\"{dark}\">"))
}

impl Asset {
    fn icon(stem: &str, svg: String) -> Asset {
        Asset::new(stem, "svg", "image/svg+xml", svg)
    }

    fn new(stem: &str, ending: &str, content_type: &'static str, text: String) -> Asset {
        let name = format!("{stem}.{}.{ending}", digest(text.as_bytes()));
        Asset { name, content_type, body: Body::lasting(text), policy: None }
    }

    fn of_logo(logo: &Logo) -> Asset {
        let (bytes, is_svg) = (logo.bytes.clone(), logo.kind == Kind::Svg);
        Asset {
            name: format!("logo.{}.{}", digest(&bytes), logo.kind.ending()),
            content_type: logo.kind.content_type(),
            // Pixels are compressed already.
            body: if is_svg { Body::lasting(bytes) } else { Body::as_it_is(bytes) },
            policy: is_svg.then_some(FOREIGN_SVG),
        }
    }
}

/// Sixteen digits that differ where the bytes do.
pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("{:016x}", fnv1a(bytes))
}

/// FNV-1a, 64 bits: tells versions of a file apart, nothing more.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accept::Accepted;

    #[test]
    fn the_hash_is_fnv_1a_as_published() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn an_asset_is_found_by_its_whole_name_only() {
        let assets = Assets::of(&Look::default());
        let find = |name: &str| assets.find(name);
        for asset in assets.all() {
            assert!(find(&asset.name).is_some_and(|found| std::ptr::eq(found, asset)));
            let (stem, rest) = asset.name.split_once('.').unwrap();
            let (hash, ending) = rest.split_once('.').unwrap();
            assert_eq!(hash.len(), 16);
            assert!(find(&format!("{stem}.{ending}")).is_none());
            assert!(find(&format!("{stem}.{:0>16}.{ending}", 0)).is_none());
        }
        for part in ["", ".", "css", "../static/style.css"] {
            assert!(find(part).is_none(), "{part}");
        }
    }

    #[test]
    fn what_every_visitor_loads_is_smallest_by_brotli() {
        let assets = Assets::of(&Look::default());
        for asset in [&assets.style, &assets.panels, &assets.script] {
            let small = asset.body.best(&Accepted::of(["br, gzip"]));
            let gzip = asset.body.best(&Accepted::of(["gzip"]));
            assert!(small.bytes.len() * 100 < gzip.bytes.len() * 97, "{}", asset.name);
        }
    }

    #[test]
    fn the_icons_differ_in_shape_and_not_only_in_colour() {
        let shape = |icon: &Asset| {
            let svg = String::from_utf8(icon.body.identity().bytes.to_vec()).unwrap();
            svg.split('"').step_by(2).collect::<String>() + svg.split(" d=").nth(1).unwrap_or_default()
        };
        let assets = Assets::of(&Look::default());
        let mut shapes: Vec<String> =
            std::iter::once(&assets.icon).chain(&assets.states).map(shape).collect();
        shapes.sort();
        assert!(shapes.windows(2).all(|pair| pair[0] != pair[1]), "{shapes:?}");
    }

    #[test]
    fn the_script_is_at_most_ten_kibibytes() {
        let length = SCRIPT.len() + EARLY.len();
        assert!(length <= 10 * 1024, "{length} bytes");
    }
}
