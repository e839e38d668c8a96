//! libFuzzer drives [`targets::dhcp_server`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::dhcp_server::run(bytes));
