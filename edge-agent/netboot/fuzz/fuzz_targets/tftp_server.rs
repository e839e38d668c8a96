//! libFuzzer drives [`targets::tftp_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::tftp_server::run(bytes));
