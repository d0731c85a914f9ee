//! What is drawn when somebody asks for it: the pages of one service, of outages, of one outage, and the answers for
//! programs that the snapshot gives. Each once for what is published, however many ask; one at a time, so that whoever
//! asks for many takes nothing from the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use actix_web::web::block;
use chrono::Utc;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    answers,
    body::Body,
    inquiries::{Charts, Inquiries, Unanswered},
    publish::Published,
    render::{self, Renderer},
};

/// Who asks waits no longer for his turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// What was drawn is kept while it is the newest: some 20 KB each.
const MOST_KEPT: usize = 512;

/// What somebody wants drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A page for people.
    Page(render::Asked),
    /// An answer for programs.
    Answer(answers::Asked),
}

/// What was drawn.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// Its content.
    pub body: Body,
    /// Where the list that it is a part of goes on.
    pub next_cursor: Option<String>,
}

/// Why there is nothing drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDrawn {
    /// There is no such service, or no such outage.
    NothingThere,
    /// Too many ask.
    Busy,
    /// It can't be rendered, which the tests rule out.
    Failed(String),
}

type Answer = Result<Arc<Charts>, Unanswered>;

/// Draws what is asked for.
#[derive(Debug)]
pub struct Pages {
    renderer: Arc<Renderer>,
    inquiries: Inquiries,
    turn: Semaphore,
    kept: Mutex<Kept>,
}

/// What was drawn of one thing published.
#[derive(Debug, Default)]
struct Kept {
    of: Weak<Published>,
    drawn: HashMap<Asked, Drawn>,
}

impl Pages {
    /// With this renderer, and what `inquiries` tell.
    pub fn new(renderer: Arc<Renderer>, inquiries: Inquiries) -> Pages {
        Pages { renderer, inquiries, turn: Semaphore::new(1), kept: Mutex::default() }
    }

    /// What is asked for, of what is published.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn draw(&self, published: Arc<Published>, asked: Asked) -> Result<Drawn, NotDrawn> {
        if let Some(drawn) = self.kept(&published, &asked) {
            return Ok(drawn);
        }
        let charts = match &asked {
            Asked::Page(render::Asked::Service(id, _)) => Some(self.charts(&published, id).await?),
            _ => None,
        };
        let turn = timeout(PATIENCE, self.turn.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(NotDrawn::Busy) };
        // Somebody who waited for the same may have been first.
        if let Some(drawn) = self.kept(&published, &asked) {
            return Ok(drawn);
        }
        let drawn = self.render(&published, &asked, charts.clone()).await?;
        // What could not be read now may be read the next time.
        if !matches!(charts, Some(Err(_))) {
            self.keep(&published, asked, drawn.clone());
        }
        Ok(drawn)
    }

    async fn charts(&self, published: &Published, id: &str) -> Result<Answer, NotDrawn> {
        let state = published.snapshot.service(id).ok_or(NotDrawn::NothingThere)?;
        Ok(self.inquiries.response_times(Arc::clone(&state.service), state.revision).await)
    }

    /// Where it keeps nobody waiting who asks for something else.
    async fn render(
        &self,
        published: &Arc<Published>,
        asked: &Asked,
        charts: Option<Answer>,
    ) -> Result<Drawn, NotDrawn> {
        let (renderer, published, asked) = (Arc::clone(&self.renderer), Arc::clone(published), asked.clone());
        let drawn = block(move || {
            let snapshot = &published.snapshot;
            match &asked {
                Asked::Page(asked) => {
                    let charts = charts
                        .as_ref()
                        .map_or(Err(Unanswered::Away), |told| told.as_deref().map_err(|why| *why));
                    let html = renderer.asked(snapshot, asked, charts, Utc::now());
                    let html = html.map_err(|error| NotDrawn::Failed(error.to_string()))?;
                    html.map(|html| Drawn { body: Body::new(html), next_cursor: None })
                }
                Asked::Answer(asked) => answers::draw(snapshot, asked, &renderer)
                    .map_err(|error| NotDrawn::Failed(error.to_string()))?,
            }
            .ok_or(NotDrawn::NothingThere)
        });
        drawn.await.unwrap_or(Err(NotDrawn::Busy))
    }

    fn kept(&self, published: &Arc<Published>, asked: &Asked) -> Option<Drawn> {
        let kept = self.lock();
        kept.drawn.get(asked).filter(|_| kept.is_of(published)).cloned()
    }

    fn keep(&self, published: &Arc<Published>, asked: Asked, drawn: Drawn) {
        let mut kept = self.lock();
        if !kept.is_of(published) || kept.drawn.len() >= MOST_KEPT {
            *kept = Kept { of: Arc::downgrade(published), drawn: HashMap::new() };
        }
        kept.drawn.insert(asked, drawn);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Its place in memory is taken as long as this one is remembered, whoever else has let go of it.
    fn is_of(&self, published: &Arc<Published>) -> bool {
        std::ptr::eq(self.of.as_ptr(), Arc::as_ptr(published))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        look::Look,
        response_times::Period,
        sample::{main, snapshot},
        site::Site,
    };

    #[tokio::test]
    async fn a_page_that_lacks_its_chart_is_not_kept_and_others_are() {
        let renderer = Arc::new(Renderer::new(&Site::new(None, "", Look::default())).unwrap());
        let pages = Pages::new(renderer, Inquiries::unanswered());
        let published = || {
            let (page, status) = (Body::new("page"), Body::new("{}"));
            Arc::new(Published {
                page,
                status,
                as_of: String::new(),
                snapshot: Arc::new(snapshot(vec![main()])),
            })
        };
        let (first, next) = (published(), published());
        let service = Asked::Page(render::Asked::Service("main".into(), Period::Week));
        let outages = Asked::Page(render::Asked::Outages(None, None));
        pages.draw(Arc::clone(&first), service.clone()).await.unwrap();
        assert!(pages.kept(&first, &service).is_none(), "the next one may have it");
        pages.draw(Arc::clone(&first), outages.clone()).await.unwrap();
        assert!(pages.kept(&first, &outages).is_some());
        assert!(pages.kept(&next, &outages).is_none(), "what is published by then is something else");
    }
}
