//! The pages that are drawn when somebody asks for them: of one service, of outages, of one outage. Each once for what
//! is published, however many ask; one at a time, so that whoever asks for many takes nothing from the others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use actix_web::web::block;
use chrono::Utc;
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    body::Body,
    inquiries::{Charts, Inquiries, Unanswered},
    publish::Published,
    render::{Asked, Renderer},
};

/// Who asks waits no longer for his turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Drawn pages that are kept while they are the newest: some 20 KB each.
const MOST_KEPT: usize = 512;

/// Why there is no page.
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

/// Draws pages.
#[derive(Debug)]
pub struct Pages {
    renderer: Arc<Renderer>,
    inquiries: Inquiries,
    turn: Semaphore,
    kept: Mutex<Kept>,
}

/// Pages that were drawn of one thing published.
#[derive(Debug, Default)]
struct Kept {
    of: Weak<Published>,
    pages: HashMap<Asked, Body>,
}

impl Pages {
    /// With this renderer, and what `inquiries` tell.
    pub fn new(renderer: Arc<Renderer>, inquiries: Inquiries) -> Pages {
        Pages { renderer, inquiries, turn: Semaphore::new(1), kept: Mutex::default() }
    }

    /// The page that is asked for, of what is published.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn draw(&self, published: Arc<Published>, asked: Asked) -> Result<Body, NotDrawn> {
        if let Some(body) = self.kept(&published, &asked) {
            return Ok(body);
        }
        let charts = match &asked {
            Asked::Service(id, _) => Some(self.charts(&published, id).await?),
            _ => None,
        };
        let turn = timeout(PATIENCE, self.turn.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(NotDrawn::Busy) };
        // Somebody who waited for the same may have been first.
        if let Some(body) = self.kept(&published, &asked) {
            return Ok(body);
        }
        let body = self.render(&published, &asked, charts.clone()).await?;
        // What could not be read now may be read the next time.
        if !matches!(charts, Some(Err(_))) {
            self.keep(&published, asked, body.clone());
        }
        Ok(body)
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
    ) -> Result<Body, NotDrawn> {
        let (renderer, published, asked) = (Arc::clone(&self.renderer), Arc::clone(published), asked.clone());
        let drawn = block(move || {
            let charts =
                charts.as_ref().map_or(Err(Unanswered::Away), |told| told.as_deref().map_err(|why| *why));
            renderer.asked(&published.snapshot, &asked, charts, Utc::now()).map(|html| html.map(Body::new))
        });
        match drawn.await {
            Ok(Ok(Some(body))) => Ok(body),
            Ok(Ok(None)) => Err(NotDrawn::NothingThere),
            Ok(Err(error)) => Err(NotDrawn::Failed(error.to_string())),
            Err(_) => Err(NotDrawn::Busy),
        }
    }

    fn kept(&self, published: &Arc<Published>, asked: &Asked) -> Option<Body> {
        let kept = self.lock();
        kept.pages.get(asked).filter(|_| kept.is_of(published)).cloned()
    }

    fn keep(&self, published: &Arc<Published>, asked: Asked, body: Body) {
        let mut kept = self.lock();
        if !kept.is_of(published) || kept.pages.len() >= MOST_KEPT {
            *kept = Kept { of: Arc::downgrade(published), pages: HashMap::new() };
        }
        kept.pages.insert(asked, body);
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
        let service = Asked::Service("main".into(), Period::Week);
        let outages = Asked::Outages(None, None);
        pages.draw(Arc::clone(&first), service.clone()).await.unwrap();
        assert!(pages.kept(&first, &service).is_none(), "the next one may have it");
        pages.draw(Arc::clone(&first), outages.clone()).await.unwrap();
        assert!(pages.kept(&first, &outages).is_some());
        assert!(pages.kept(&next, &outages).is_none(), "what is published by then is something else");
    }
}
