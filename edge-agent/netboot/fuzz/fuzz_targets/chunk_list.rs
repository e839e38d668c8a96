//! libFuzzer drives [`targets::chunk_list`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::chunk_list::run(bytes));
