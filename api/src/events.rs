//! Changes as they happen: one stream for each visitor who listens, fed from one event that is written once for all.

use std::convert::Infallible;

use actix_web::web::Bytes;
use arc_swap::ArcSwapOption;
use futures_util::{Stream, stream::unfold};
use tokio::sync::broadcast::{Receiver, Sender, channel, error::RecvError};

/// Events that a slow visitor may lag behind. One a second at most: then he is told to ask for everything.
const KEPT: usize = 16;
/// What a stream takes of an event at once: the server copies it for each of them, and a visitor who takes nothing holds
/// no more than that of an event of many megabytes.
const SLICE: usize = 64 * 1024;
/// What nobody reads, so that whoever is in between takes the silence for life.
const SIGN_OF_LIFE: &[u8] = b":\n\n";
/// What one who lagged behind is told: something changed, ask.
const MISSED: &[u8] = b"event: missed\ndata: {}\n\n";

/// Where changes are told, and heard.
#[derive(Debug)]
pub struct Events {
    /// `None` once nothing is told any more.
    told: ArcSwapOption<Sender<Bytes>>,
}

impl Default for Events {
    fn default() -> Events {
        Events { told: ArcSwapOption::from_pointee(channel(KEPT).0) }
    }
}

impl Events {
    /// Tells everybody who listens what changed, in JSON, and the instant that it is as of.
    pub fn tell(&self, as_of: &str, json: &[u8]) {
        let event = [b"id: ", as_of.as_bytes(), b"\nevent: change\ndata: ", json, b"\n\n"].concat();
        self.send(event.into());
    }

    /// Keeps streams alive that nothing happens on.
    pub fn keep_alive(&self) {
        self.send(Bytes::from_static(SIGN_OF_LIFE));
    }

    fn send(&self, event: Bytes) {
        if let Some(told) = &*self.told.load() {
            // Nobody may be listening.
            drop(told.send(event));
        }
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.told.load().as_ref().map_or(0, |told| told.receiver_count())
    }

    /// Ends every stream, now and to come.
    pub fn end(&self) {
        self.told.store(None);
    }

    /// A stream of what is told from now on; begins with the instant that what is shown is as of. That is asked for once
    /// nothing can be missed any more.
    pub fn listen(
        &self,
        as_of: &dyn Fn() -> String,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> + use<> {
        let heard = self.told.load().as_ref().map(|told| told.subscribe());
        let hello = Bytes::from(format!("retry: 3000\nid: {}\nevent: hello\ndata: {{}}\n\n", as_of()));
        unfold((hello, heard), |(mut rest, heard)| async move {
            if !rest.is_empty() {
                let slice = rest.split_to(rest.len().min(SLICE));
                return Some((Ok(slice), (rest, heard)));
            }
            let mut heard: Receiver<Bytes> = heard?;
            let mut event = match heard.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(_)) => Bytes::from_static(MISSED),
                Err(RecvError::Closed) => return None,
            };
            let slice = event.split_to(event.len().min(SLICE));
            Some((Ok(slice), (event, Some(heard))))
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn who_lags_behind_is_told_so_and_goes_on_with_the_newest() {
        let events = Events::default();
        let mut heard = Box::pin(events.listen(&|| {
            assert_eq!(events.listeners(), 1, "what changes from here on is heard");
            "2026".into()
        }));
        let hello = heard.next().await.unwrap().unwrap();
        assert!(hello.ends_with(b"id: 2026\nevent: hello\ndata: {}\n\n"), "{hello:?}");
        assert_eq!(events.listeners(), 1);
        for n in 0..KEPT + 5 {
            events.tell(&n.to_string(), b"{}");
        }
        assert_eq!(heard.next().await.unwrap().unwrap(), MISSED);
        assert!(heard.next().await.unwrap().unwrap().starts_with(b"id: 5\nevent: change\ndata: {}\n"));
        events.keep_alive();
        events.end();
        let rest: Vec<_> = heard.collect().await;
        assert_eq!(rest.last().unwrap().as_ref().unwrap(), SIGN_OF_LIFE, "what was told is heard to the end");
        assert_eq!(events.listeners(), 0);
        assert_eq!(
            Box::pin(events.listen(&String::new)).collect::<Vec<_>>().await.len(),
            1,
            "who comes late ends at once"
        );
    }
    #[tokio::test]
    async fn a_large_event_goes_out_in_slices() {
        let events = Events::default();
        let mut heard = Box::pin(events.listen(&String::new));
        heard.next().await.unwrap().unwrap();
        let json = vec![b'x'; 3 * SLICE];
        events.tell("2026", &json);
        events.end();
        let slices: Vec<_> = heard.map(Result::unwrap).collect().await;
        assert!(slices.iter().all(|slice| (1..=SLICE).contains(&slice.len())));
        assert_eq!(slices.concat(), [b"id: 2026\nevent: change\ndata: ", &json[..], b"\n\n"].concat());
    }
}
