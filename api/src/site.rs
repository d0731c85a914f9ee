//! What is the same for every answer of this server, made once at start of its options and the page file.

use actix_web::http::header::HeaderValue;

use uuid::{Uuid, uuid};

use crate::{
    assets::Assets,
    look::{Link, Look, Origin},
    outages::Outage,
};

/// The title where nobody gives one.
const USUAL_TITLE: &str = "Service status";

/// Ids of ours are made from names in this space.
const SPACE: Uuid = uuid!("5e1f35fa-9d62-4d0b-8e6c-2f0a2c1b7a43");

/// A site.
#[derive(Debug, Clone)]
pub struct Site {
    /// Where visitors find this server, like `https://status.example.org`; `None` where nobody told.
    pub origin: Option<Origin>,
    /// Heads every page.
    pub title: String,
    /// What links begin with: empty, or like `/monitor`.
    pub base_path: String,
    /// The static files of its pages.
    pub assets: Assets,
    /// How large the logo is shown, in CSS pixels.
    pub logo_size: Option<(u32, u32)>,
    /// Lines at the foot of every page.
    pub footer: Vec<String>,
    /// Where people may go from here.
    pub links: Vec<Link>,
    /// The `Content-Security-Policy` under which the pages work, to the letter.
    pub policy: HeaderValue,
}

impl Site {
    /// `title`, where there is one, wins over that of the page file.
    pub fn new(title: Option<String>, base_path: &str, look: Look) -> Site {
        Site {
            origin: None,
            assets: Assets::of(&look),
            policy: policy(&look.frame_ancestors),
            logo_size: look.logo.map(|logo| (logo.width, logo.height)),
            title: title.or(look.title).unwrap_or_else(|| USUAL_TITLE.into()),
            base_path: base_path.into(),
            footer: look.footer,
            links: look.links,
        }
    }
}

impl Site {
    /// The address of a path below the base path; a path itself where nobody told the origin.
    pub fn address(&self, path: &str) -> String {
        let origin = self.origin.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{origin}{}{path}", self.base_path)
    }

    /// What tells the thing of that name from those of all other sites, for as long as this one keeps its address (or its
    /// title, where nobody told an origin).
    pub fn id(&self, name: &str) -> Uuid {
        let place = if self.origin.is_some() { self.address("") } else { self.title.clone() };
        Uuid::new_v5(&SPACE, format!("{place}\n{name}").as_bytes())
    }

    /// What tells an outage of the service of this id from all others, for ever.
    pub fn id_of(&self, id: &str, outage: &Outage) -> Uuid {
        Uuid::new_v5(&SPACE, format!("{id}\n{}", outage.began.timestamp_micros()).as_bytes())
    }
}

/// The hash of `early.js`, which stands in every page: what must run before the first paint waits for no request.
const EARLY: &str = "sha256-dNpUIc68iLblH6oyoCgLs7ubJUh9ENGPU1UjOL0mwGo=";

/// No inline style, no inline script but that one, nothing from anywhere else; within the pages of those alone who may
/// embed it.
fn policy(frame_ancestors: &[Origin]) -> HeaderValue {
    let mut ancestors = String::from("'none'");
    if !frame_ancestors.is_empty() {
        ancestors = frame_ancestors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    }
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self' '{EARLY}'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors {ancestors}"
    );
    HeaderValue::try_from(policy).expect("an origin is a word of ASCII")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::look;

    fn site(title: Option<&str>, text: &str) -> Site {
        let look = look::parse(Path::new("page.toml"), text).unwrap();
        Site::new(title.map(Into::into), "", look)
    }

    #[test]
    fn the_title_of_the_command_line_wins_over_that_of_the_file() {
        assert_eq!(site(None, "").title, "Service status");
        assert_eq!(site(None, "title = \"File\"").title, "File");
        assert_eq!(site(Some("Line"), "title = \"File\"").title, "Line");
    }

    #[test]
    fn nobody_may_embed_the_page_but_those_who_are_named() {
        let ends = |text: &str, words: &str| {
            let policy = site(None, text).policy;
            let policy = policy.to_str().unwrap();
            assert_eq!(policy.split_once("frame-ancestors ").unwrap().1, words, "{policy}");
            assert_eq!(policy.matches(';').count(), 7);
        };
        ends("", "'none'");
        ends("frame_ancestors = []", "'none'");
        ends("frame_ancestors = [\"'self'\", \"https://www.example.com\"]", "'self' https://www.example.com");
    }

    #[test]
    fn another_accent_is_another_style_sheet_of_another_name() {
        let (plain, own) = (site(None, ""), site(None, "accent = { dark = \"#f80\", light = \"#a40\" }"));
        assert_ne!(plain.assets.style.name, own.assets.style.name);
        let style = String::from_utf8(own.assets.style.body.identity().bytes.to_vec()).unwrap();
        assert!(style.ends_with(":root { --accent: light-dark(#aa4400, #ff8800); }\n"), "{style}");
        assert_eq!(plain.assets.script.name, own.assets.script.name);
        let icon = String::from_utf8(own.assets.icon.body.identity().bytes.to_vec()).unwrap();
        assert!(icon.contains("<g fill=\"#ff8800\">") && icon.contains("g{fill:#aa4400}"), "{icon}");
    }
}
