//! libFuzzer drives [`targets::tftp_codec`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::tftp_codec::run(bytes));
