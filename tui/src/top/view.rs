//! The live view: what is shown, and what keys do.                                                       (pure)

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;

use super::look::Look;
use super::table::{Order, Table};
use super::tables::{heads, tables};
use crate::wrap::shorten;

/// How many lists there are.
const LISTS: usize = 5;
/// What the last line says.
const KEYS: &str = "q quit · p pause · s sort · r reverse · Tab next list · ↑↓ move";

/// What a key asks of whoever shows the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Nothing,
    Quit,
    /// To look at once.
    Look,
    /// To draw everything again.
    Redraw,
}

/// The view.
#[derive(Debug, Default)]
pub(crate) struct View {
    look: Option<Look>,
    before: Option<Look>,
    is_paused: bool,
    /// Which list keys are for.
    list: usize,
    orders: [Order; LISTS],
    /// How far each list is moved.
    offsets: [usize; LISTS],
}

impl View {
    /// Another look was taken.
    pub(crate) fn see(&mut self, look: Look) {
        if !self.is_paused {
            self.before = self.look.replace(look);
        }
    }

    /// Whether nothing new is wanted.
    pub(crate) const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// A key was pressed.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the keys are crossterm's; those that mean nothing here are ignored"
    )]
    pub(crate) fn key(&mut self, key: KeyEvent) -> Asked {
        if key.kind == KeyEventKind::Release {
            return Asked::Nothing;
        }
        let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let columns = self.columns();
        let (order, offset) = (&mut self.orders[self.list], &mut self.offsets[self.list]);
        match key.code {
            KeyCode::Char('c' | 'd') if is_ctrl => return Asked::Quit,
            KeyCode::Char('l') if is_ctrl => return Asked::Redraw,
            KeyCode::Char('q') | KeyCode::Esc => return Asked::Quit,
            KeyCode::Char('p' | ' ') => {
                self.is_paused = !self.is_paused;
                if !self.is_paused {
                    return Asked::Look;
                }
            }
            KeyCode::Char('s') => *order = order.next(columns),
            KeyCode::Char('S') => *order = order.previous(columns),
            KeyCode::Char('r') => order.is_reversed = !order.is_reversed,
            KeyCode::Tab => self.list = (self.list + 1) % LISTS,
            KeyCode::BackTab => self.list = (self.list + LISTS - 1) % LISTS,
            // Where a list ends is known when it is drawn.
            KeyCode::Down | KeyCode::Char('j') => *offset += 1,
            KeyCode::Up | KeyCode::Char('k') => *offset = offset.saturating_sub(1),
            KeyCode::PageDown => *offset += 10,
            KeyCode::PageUp => *offset = offset.saturating_sub(10),
            KeyCode::Home => *offset = 0,
            _ => {}
        }
        Asked::Nothing
    }

    /// How many columns the list has that keys are for.
    fn columns(&self) -> usize {
        let look = self.look.as_ref();
        look.map_or(0, |look| tables(look, None)[self.list].columns.len())
    }

    /// Shows everything.
    pub(crate) fn draw(&mut self, frame: &mut Frame, is_colored: bool) {
        let area = frame.area();
        if area.width < 10 || area.height < 4 {
            return;
        }
        let lines = self.lines(
            usize::from(area.width),
            usize::from(area.height),
            is_colored,
        );
        for (row, line) in (0..area.height).zip(lines) {
            let place = Rect {
                y: area.y + row,
                height: 1,
                ..area
            };
            frame.render_widget(line, place);
        }
    }

    fn lines(&mut self, columns: usize, rows: usize, is_colored: bool) -> Vec<Line<'static>> {
        let color = |color: Color| match is_colored {
            true => Style::new().fg(color),
            false => Style::new(),
        };
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let dim = Style::new().add_modifier(Modifier::DIM);
        let Some(look) = &self.look else {
            return vec![Line::styled("openclaw top: looking…", bold)];
        };
        let mut lines = Vec::new();
        for (text, is_there) in heads(look)
            .into_iter()
            .zip([look.supervisor.is_ok(), look.gateway.is_ok()])
        {
            let style = match is_there {
                true => color(Color::Magenta).add_modifier(Modifier::BOLD),
                false => color(Color::Red).add_modifier(Modifier::BOLD),
            };
            lines.push(Line::styled(shorten(&text, columns), style));
        }
        let mut tables = tables(look, self.before.as_ref());
        for (table, order) in tables.iter_mut().zip(self.orders) {
            table.sort(order);
        }
        let sizes = tables.each_ref().map(|table| table.rows.len());
        let heights = share(
            sizes,
            rows.saturating_sub(lines.len() + 1 + 2 * LISTS),
            self.list,
        );
        for (place, table) in tables.iter().enumerate() {
            let height = heights[place];
            let offset = &mut self.offsets[place];
            *offset = (*offset).min(table.rows.len().saturating_sub(height));
            let style = match place == self.list {
                true => color(Color::Cyan).add_modifier(Modifier::BOLD | Modifier::REVERSED),
                false => color(Color::Cyan).add_modifier(Modifier::BOLD),
            };
            lines.push(Line::styled(
                shorten(&title(table, self.orders[place], *offset, height), columns),
                style,
            ));
            let mut shown = table.lines(columns).into_iter();
            lines.extend(shown.next().map(|head| Line::styled(head, dim)));
            let shown = shown.skip(*offset).take(height);
            lines.extend(shown.map(Line::raw));
        }
        lines.truncate(rows - 1);
        lines.resize(rows - 1, Line::default());
        let last = match self.is_paused {
            true => format!("PAUSED · {KEYS}"),
            false => KEYS.to_owned(),
        };
        lines.push(Line::styled(shorten(&last, columns), dim));
        lines
    }
}

/// What stands above a list.
fn title(table: &Table, order: Order, offset: usize, height: usize) -> String {
    let count = table.rows.len();
    let mut title = format!("{} {count}", table.title);
    if count > height {
        title.push_str(&format!(
            " ({}-{})",
            offset + 1,
            (offset + height).min(count)
        ));
    }
    let by = order.column.and_then(|column| table.columns.get(column));
    match (by, order.is_reversed) {
        (Some(by), false) => title.push_str(&format!(" · by {by}")),
        (Some(by), true) => title.push_str(&format!(" · by {by}, reversed")),
        (None, true) => title.push_str(" · reversed"),
        (None, false) => {}
    }
    title
}

/// How many rows of each list are shown: each gets what it needs while there is room, the one that is looked at first.
fn share(sizes: [usize; LISTS], mut room: usize, first: usize) -> [usize; LISTS] {
    let mut heights = [0; LISTS];
    let mut is_full = false;
    while room > 0 && !is_full {
        is_full = true;
        let order = std::iter::once(first).chain((0..LISTS).filter(|place| *place != first));
        for place in order {
            if heights[place] < sizes[place] && room > 0 {
                heights[place] += 1;
                room -= 1;
                is_full = false;
            }
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
    use openclaw_shared::clock::Moment;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::tables::tests::seen;
    use super::{Asked, View, share};

    fn press(view: &mut View, code: KeyCode) -> Asked {
        view.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn screen(view: &mut View, (columns, rows): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
        terminal.draw(|frame| view.draw(frame, false)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn everything_is_on_a_small_screen_and_no_screen_is_too_small() {
        let mut view = View::default();
        assert!(screen(&mut view, (80, 24)).contains("looking"));
        view.see(seen(Moment::now(), 4, 90_000));
        let shown = screen(&mut view, (80, 24));
        for text in [
            "Processes 3",
            "browser-control",
            "Queues 1",
            "agent:main:main",
            "Clients 1",
            "health",
            "q quit",
        ] {
            assert!(shown.contains(text), "{text} in\n{shown}");
        }
        for columns in 1..30 {
            for rows in 1..20 {
                screen(&mut view, (columns, rows));
            }
        }
    }

    #[test]
    fn keys_sort_pause_and_quit() {
        let mut view = View::default();
        view.see(seen(Moment::now(), 4, 90_000));
        press(&mut view, KeyCode::Char('s'));
        assert!(screen(&mut view, (80, 24)).contains("Processes 3 · by process"));
        press(&mut view, KeyCode::Char('r'));
        assert!(screen(&mut view, (80, 24)).contains("by process, reversed"));
        press(&mut view, KeyCode::Char('p'));
        view.see(seen(Moment::now(), 77_777, 90_000));
        let paused = screen(&mut view, (80, 24));
        assert!(
            paused.contains("PAUSED") && !paused.contains("77777"),
            "{paused}"
        );
        assert_eq!(press(&mut view, KeyCode::Char('p')), Asked::Look);
        view.see(seen(Moment::now(), 77_777, 90_000));
        assert!(screen(&mut view, (80, 24)).contains("77777"));
        for _ in 0..20 {
            press(&mut view, KeyCode::Tab);
            press(&mut view, KeyCode::Down);
            press(&mut view, KeyCode::Char('S'));
            screen(&mut view, (80, 24));
        }
        assert_eq!(press(&mut view, KeyCode::Char('q')), Asked::Quit);
    }

    #[test]
    fn room_is_shared_and_what_is_looked_at_comes_first() {
        assert_eq!(share([3, 6, 100, 100, 2], 10, 0), [2, 2, 2, 2, 2]);
        assert_eq!(share([3, 6, 100, 100, 2], 20, 2), [3, 5, 5, 5, 2]);
        assert_eq!(share([1, 1, 1, 1, 1], 50, 4), [1; 5]);
        assert_eq!(share([9, 9, 9, 9, 9], 2, 3), [1, 0, 0, 1, 0]);
    }
}
