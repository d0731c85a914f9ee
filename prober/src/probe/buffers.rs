//! The bytes of one request and of the head of its answer: small at first, for ten thousand checks may wait
//! at once, and grown only by answers that need it.

use ureq::unversioned::transport::Buffers;

/// The most that may come before the end of the final headers, interim answers included.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// The heads of most answers fit, and what malloc keeps for each thread.
const FIRST_INPUT: usize = 1024;

/// The buffers of one connection.
#[derive(Debug)]
pub(super) struct Pages {
    input: Vec<u8>,
    consumed: usize,
    filled: usize,
    output: Vec<u8>,
    progress: bool,
}

impl Pages {
    /// `output` bytes hold the whole head of the request.
    pub(super) fn new(output: usize) -> Pages {
        Pages { input: Vec::new(), consumed: 0, filled: 0, output: vec![0; output], progress: false }
    }

    fn make_room(&mut self) {
        if self.filled < self.input.len() {
            return;
        }
        self.input.drain(..self.consumed);
        self.filled -= self.consumed;
        self.consumed = 0;
        self.input.resize((2 * self.filled).max(FIRST_INPUT), 0);
    }
}

impl Buffers for Pages {
    fn output(&mut self) -> &mut [u8] {
        &mut self.output
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.consumed += amount;
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.make_room();
        (&mut self.input[self.filled..], &mut self.output)
    }

    fn can_use_input(&self) -> bool {
        self.progress && self.consumed < self.filled
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_appended_comes_out_whole_and_in_order(steps in prop::collection::vec((0usize..9000, 0usize..9000), 0..30)) {
            let mut pages = Pages::new(16);
            let (mut sent, mut received) = (0u32, 0u32);
            for (append, consume) in steps {
                let room = pages.input_append_buf();
                prop_assert!(!room.is_empty());
                let append = append.min(room.len());
                for byte in &mut room[..append] {
                    *byte = sent as u8;
                    sent += 1;
                }
                pages.input_appended(append);
                let consume = consume.min(pages.input().len());
                for byte in &pages.input()[..consume] {
                    prop_assert_eq!(*byte, received as u8);
                    received += 1;
                }
                pages.input_consume(consume);
                prop_assert_eq!(pages.input().len(), (sent - received) as usize);
            }
        }
    }
}
