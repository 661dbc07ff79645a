#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| streamlog_fuzz::frame::run(bytes));
