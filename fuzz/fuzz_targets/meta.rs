#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| streamlog_fuzz::meta::run(bytes));
