//! The screen of `top`: keys, scrolling, drawing.
//!
//! Looks are taken in a thread of their own: with many streams one takes a while, and keys should not wait for it.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode, size,
};
use crossterm::{execute, queue};

use super::sample::{Rates, Sample};
use super::view::{self, Sorting, View};
use crate::style::{ASIDE, TITLE, paint};
use crate::table::first_columns;
use crate::{Failure, Outcome, explain};

/// How long a key may go unnoticed while nothing else happens.
const ATTENTION: Duration = Duration::from_millis(50);

const KEYS: &str = "q quit · g groups · sort: n name e entries a added b bytes r read p pending l lag · ↑↓ scroll";

type Look = Result<Sample, String>;

/// Shows what `look` sees until somebody leaves, or it was seen so many times.
pub fn run(
    interval: Duration,
    count: Option<u64>,
    view: View,
    title: &str,
    look: impl Fn() -> Result<Sample, Failure> + Send + 'static,
) -> Result<Outcome, Failure> {
    let looks = watch(interval, look);
    let _terminal = Terminal::take()?;
    let mut screen = Screen { view, title: title.to_owned(), now: None, error: None, first_line: 0 };
    let mut left = count;
    screen.draw()?;
    loop {
        let changed = match looks.try_recv() {
            Ok(look) => {
                screen.take_in(look);
                left = left.map(|left| left.saturating_sub(1));
                true
            }
            Err(TryRecvError::Empty) => false,
            Err(TryRecvError::Disconnected) => return Err("looking at the store ended".into()),
        };
        let (pressed, ended) = screen.take_keys()?;
        if changed || pressed {
            screen.draw()?;
        }
        if ended || left == Some(0) {
            // The last look counts, as where looks are printed.
            return match screen.error {
                Some(error) => Err(error.into()),
                None => Ok(screen.now.map_or(Outcome::Done, |(sample, _)| sample.outcome())),
            };
        }
    }
}

/// Looks again and again until nobody wants to know any more.
fn watch(interval: Duration, look: impl Fn() -> Result<Sample, Failure> + Send + 'static) -> Receiver<Look> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        loop {
            let began = Instant::now();
            if sender.send(look().map_err(|failure| explain(failure.as_ref()))).is_err() {
                return;
            }
            std::thread::sleep(super::pause(interval, began.elapsed()));
        }
    });
    receiver
}

/// The terminal while it is ours. It is given back as it was, whatever happens.
struct Terminal;

impl Terminal {
    fn take() -> io::Result<Self> {
        enable_raw_mode()?;
        let taken = Self;
        execute!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(taken)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // If that fails, there is no terminal left to be put in order.
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

struct Screen {
    view: View,
    title: String,
    now: Option<(Sample, Rates)>,
    /// Why the last look was in vain.
    error: Option<String>,
    /// The first line of the table that is shown.
    first_line: usize,
}

impl Screen {
    fn take_in(&mut self, look: Look) {
        self.error = look.as_ref().err().cloned();
        if let Ok(sample) = look {
            let rates = Rates::between(self.now.as_ref().map(|(before, _)| before), &sample);
            self.now = Some((sample, rates));
        }
    }

    /// Does what keys say; whether there was one, and whether it is over.
    fn take_keys(&mut self) -> io::Result<(bool, bool)> {
        let mut wait = ATTENTION;
        let mut pressed = false;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            pressed = true;
            if let Event::Key(key) = event::read()?
                && key.kind != KeyEventKind::Release
                && self.press(key).is_break()
            {
                return Ok((true, true));
            }
        }
        Ok((pressed, false))
    }

    fn press(&mut self, key: KeyEvent) -> ControlFlow<()> {
        let page = usize::from(size().map_or(24, |(_, rows)| rows)).saturating_sub(4);
        let is_plain = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => return ControlFlow::Break(()),
            KeyCode::Char(_) if !is_plain => {}
            KeyCode::Char('q') | KeyCode::Esc => return ControlFlow::Break(()),
            KeyCode::Char('g') => self.view.groups = !self.view.groups,
            KeyCode::Char(key) => {
                if let Some(sorting) = sorting_of(key) {
                    self.view.sort_by(sorting);
                }
            }
            KeyCode::Up => self.first_line = self.first_line.saturating_sub(1),
            KeyCode::Down => self.first_line = self.first_line.saturating_add(1),
            KeyCode::PageUp => self.first_line = self.first_line.saturating_sub(page),
            KeyCode::PageDown => self.first_line = self.first_line.saturating_add(page),
            KeyCode::Home => self.first_line = 0,
            KeyCode::End => self.first_line = usize::MAX - page,
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = size()?;
        let lines = self.lines(usize::from(columns), usize::from(rows));
        let mut frame = Vec::new();
        queue!(frame, BeginSynchronizedUpdate)?;
        for (row, line) in (0..rows).zip(lines.iter().map(String::as_str).chain(std::iter::repeat(""))) {
            queue!(frame, MoveTo(0, row))?;
            match crate::style::is_on() {
                true => write!(frame, "{line}")?,
                false => write!(frame, "{}", anstream::adapter::strip_str(line))?,
            }
            queue!(frame, Clear(ClearType::UntilNewLine))?;
        }
        queue!(frame, EndSynchronizedUpdate)?;
        let mut out = io::stdout().lock();
        out.write_all(&frame)?;
        out.flush()
    }

    /// What is to be seen: a line about everything, the table as far as there is room, the keys.
    fn lines(&mut self, columns: usize, rows: usize) -> Vec<String> {
        let cut = |text: &str| first_columns(text, columns).to_owned();
        let mut lines = vec![paint(TITLE, cut(&format!("streamlog top: {}", self.title)))];
        let mut table = Vec::new();
        match (&self.now, &self.error) {
            (_, Some(error)) => lines.push(cut(error)),
            (Some((sample, rates)), None) => {
                lines.push(cut(&view::total(sample, rates)));
                table = self.view.lines(sample, rates, columns);
            }
            (None, None) => lines.push("looking ...".to_owned()),
        }
        lines.push(String::new());
        let mut table = table.into_iter();
        lines.extend(table.next());
        let table: Vec<_> = table.collect();
        let room = rows.saturating_sub(lines.len() + 1);
        self.first_line = self.first_line.min(table.len().saturating_sub(room));
        lines.extend(table.into_iter().skip(self.first_line).take(room));
        lines.resize(rows.saturating_sub(1), String::new());
        lines.push(paint(ASIDE, cut(KEYS)));
        lines
    }
}

fn sorting_of(key: char) -> Option<Sorting> {
    Some(match key {
        'n' => Sorting::Name,
        'e' => Sorting::Entries,
        'a' => Sorting::Added,
        'b' => Sorting::Bytes,
        'r' => Sorting::Read,
        'p' => Sorting::Pending,
        'l' => Sorting::Lag,
        _ => return None,
    })
}
