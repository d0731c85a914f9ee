//! See [`fuzz::services_file`].
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::services_file(input));
