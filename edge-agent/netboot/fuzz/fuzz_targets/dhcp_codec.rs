//! libFuzzer drives [`targets::dhcp_codec`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::dhcp_codec::run(bytes));
