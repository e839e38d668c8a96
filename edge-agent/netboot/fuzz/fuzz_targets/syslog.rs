//! libFuzzer drives [`targets::syslog`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::syslog::run(bytes));
