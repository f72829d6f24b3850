#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| efm_fuzz::bags::bags(data));
