//! See [`fuzz::database_urls`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::database_urls(input));
