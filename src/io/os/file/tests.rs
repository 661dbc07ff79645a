use super::*;

/// The window of a file that is not behind a trait.
fn window(file: &OsFile) -> (u64, u64) {
    file.window.range()
}

fn mapped(len: u64) -> OsFile {
    let file = tempfile::tempfile().unwrap();
    allocate(&file, 0, len).unwrap();
    OsFile::new(Arc::new(Shared::new(Some(file), len)), true, Window::FIRST)
}

#[test]
fn the_window_moves_ahead_of_the_tail_in_steps_that_double() {
    let file = mapped(1 << 20);
    file.write_at(100, b"first").unwrap();
    assert_eq!(window(&file), (100, 64 << 10));
    file.write_at(105, &[1; 64 << 10]).unwrap();
    assert_eq!(window(&file), (100, 128 << 10));
    file.write_at(105 + (64 << 10), &[2; 64 << 10]).unwrap();
    assert_eq!(window(&file), (100, 256 << 10));
    file.write_at((1 << 20) - 1, b"l").unwrap();
    assert_eq!(window(&file), ((1 << 20) - 1, 1 << 20));
}

#[test]
fn the_window_ends_with_the_file() {
    let file = mapped(5000);
    file.write_at(0, &[1; 4990]).unwrap();
    assert_eq!(window(&file), (0, 5000));
    file.truncate(4000).unwrap();
    assert_eq!(window(&file), (0, 4000));
    file.write_at(3990, &[2; 20]).unwrap();
    assert_eq!(window(&file), (0, 4000), "what is beyond the end is appended by a call");
    file.write_at(3000, &[3; 1010]).unwrap();
    assert_eq!(window(&file), (0, 4010));
}

#[test]
fn writes_before_the_window_are_calls() {
    let file = mapped(10_000);
    file.write_at(5000, b"tail").unwrap();
    file.write_at(0, b"head").unwrap();
    assert_eq!(window(&file), (5000, 10_000));
    let mut head = [0; 4];
    file.read_at(0, &mut head).unwrap();
    assert_eq!(&head, b"head");
}

#[test]
fn what_is_behind_the_tail_is_written_back_and_a_failure_of_that_is_the_next_sync_s() {
    let file = mapped(8 << 20);
    file.shared.behind.make_due();
    for offset in 0..6 {
        file.write_at(offset << 20, &[1; 1 << 20]).unwrap();
    }
    assert_eq!(file.shared.behind.begun(), 4 << 20);
    file.sync().unwrap();
    file.shared.behind.fail(ErrorKind::QuotaExceeded);
    for _ in 0..2 {
        assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::QuotaExceeded);
    }
}

#[test]
fn a_file_that_somebody_truncated_fails_each_sync() {
    let file = mapped(10_000);
    file.shared.file.as_ref().unwrap().set_len(5000).unwrap();
    for _ in 0..2 {
        assert_eq!(file.sync().unwrap_err().kind(), ErrorKind::Other);
    }
}
