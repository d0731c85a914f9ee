//! See [`fuzz::page_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::page_file(input));
