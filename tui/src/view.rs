//! The chat on the screen.                                                                              (pure)

use openclaw_client::harmless;
use openclaw_shared::clock::Moment;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use crate::chat::{Chat, Link, Picker};
use crate::scrollback::{INDENT, Kind};
use crate::wrap::{shorten, width};

/// How many lines of what is typed are shown at most.
const TYPED: u16 = 8;

/// Shows everything. `is_colored` says whether the person wants colours.
pub(crate) fn draw(frame: &mut Frame, chat: &mut Chat, now: Moment, is_colored: bool) {
    let paint = Paint(is_colored);
    let area = frame.area();
    if area.width < 4 || area.height < 4 {
        return;
    }
    let typed = chat.editor.shown(usize::from(area.width) - 2);
    let rows = u16::try_from(typed.lines.len())
        .unwrap_or(u16::MAX)
        .min(TYPED);
    let rows = rows.min(area.height.saturating_sub(3)).max(1);
    let [head, body, status, input] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(1),
        Constraint::Length(rows),
    ])
    .areas(area);
    frame.render_widget(header(chat, head.width, paint), head);
    draw_body(frame, chat, body, paint);
    frame.render_widget(status_line(chat, now, status.width, paint), status);
    draw_input(frame, &typed, input, chat.picker.is_none(), paint);
    if let Some(picker) = &chat.picker {
        draw_picker(frame, picker, body, paint);
    }
}

/// Which colours there are.
#[derive(Debug, Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn color(self, color: Color) -> Style {
        match self.0 {
            true => Style::new().fg(color),
            false => Style::new(),
        }
    }

    fn of(self, kind: Kind) -> (&'static str, Style) {
        match kind {
            Kind::User => ("> ", self.color(Color::Cyan).add_modifier(Modifier::BOLD)),
            Kind::Answer => ("  ", Style::new()),
            Kind::Tool => ("* ", Style::new().add_modifier(Modifier::DIM)),
            Kind::Notice => ("- ", self.color(Color::Yellow)),
            Kind::Failure => ("! ", self.color(Color::Red)),
        }
    }
}

fn header(chat: &Chat, columns: u16, paint: Paint) -> Line<'static> {
    let mut parts = vec!["openclaw".to_owned()];
    if !chat.session.is_empty() {
        parts.push(format!("agent {}", chat.agent()));
        parts.push(format!("session {}", chat.names.short(&chat.session)));
    }
    let standing = &chat.standing;
    if !standing.model.is_empty() {
        parts.push(standing.model.clone());
    }
    if !standing.thinking.is_empty() {
        parts.push(format!("think {}", standing.thinking));
    }
    if let Some((used, window)) = standing.tokens {
        parts.push(format!("{used}/{window} tokens"));
    }
    let text = one_line(&parts.join(" · "));
    let style = paint.color(Color::Magenta).add_modifier(Modifier::BOLD);
    Line::styled(shorten(&text, usize::from(columns)), style)
}

fn draw_body(frame: &mut Frame, chat: &mut Chat, area: Rect, paint: Paint) {
    let fitting = usize::from(area.height);
    let count = chat.scrollback.lay_out(usize::from(area.width));
    let (before, _) = chat.seen;
    // Who reads what was said before keeps it in sight while more is said.
    if chat.below > 0 && count > before && before > 0 {
        chat.below = chat.below.saturating_add(count - before);
    }
    chat.below = chat.below.min(count.saturating_sub(fitting));
    chat.seen = (count, fitting);
    let from = count.saturating_sub(fitting + chat.below);
    let lines = chat
        .scrollback
        .lines(from, fitting)
        .into_iter()
        .map(|line| match line {
            None => Line::default(),
            Some(line) => {
                let (mark, style) = paint.of(line.kind);
                let mark = if line.is_first { mark } else { "  " };
                debug_assert_eq!(mark.len(), INDENT);
                Line::from(vec![
                    Span::styled(mark, style),
                    Span::styled(line.text, style),
                ])
            }
        });
    let shown = Paragraph::new(lines.collect::<Vec<_>>());
    frame.render_widget(shown, area);
}

fn status_line(chat: &Chat, now: Moment, columns: u16, paint: Paint) -> Line<'static> {
    let since = chat.runs.iter().map(|run| run.since).min();
    let (text, style) = match (&chat.link, since) {
        _ if chat.is_leaving => (
            "Ctrl-C again to leave".to_owned(),
            paint.color(Color::Yellow),
        ),
        (Link::Connecting, _) => (
            format!("connecting to {}…", chat.url),
            paint.color(Color::Yellow),
        ),
        (Link::Down { why }, _) => (
            format!("disconnected, trying again: {why}"),
            paint.color(Color::Red),
        ),
        (Link::Up, _) if chat.below > 0 => (
            format!("{} lines below · Esc or Ctrl-End to the end", chat.below),
            paint.color(Color::Yellow),
        ),
        (Link::Up, Some(since)) => {
            let seconds = now.since(since).as_secs();
            let more = match chat.runs.len() {
                1 => String::new(),
                count => format!(" · {} waiting", count - 1),
            };
            (
                format!("working {seconds}s{more} · Esc stops it"),
                paint.color(Color::Green),
            )
        }
        (Link::Up, None) => (
            "connected · /help".to_owned(),
            Style::new().add_modifier(Modifier::DIM),
        ),
    };
    let text = shorten(&one_line(&text), usize::from(columns).saturating_sub(3));
    let rule = "─".repeat(usize::from(columns).saturating_sub(width(&text) + 3));
    Line::styled(format!("─ {text} {rule}"), style)
}

fn draw_input(
    frame: &mut Frame,
    typed: &crate::editor::Shown,
    area: Rect,
    has_cursor: bool,
    paint: Paint,
) {
    let (row, column) = typed.cursor;
    let fitting = usize::from(area.height);
    let from = (row + 1).saturating_sub(fitting);
    let lines = typed
        .lines
        .iter()
        .enumerate()
        .skip(from)
        .take(fitting)
        .map(|(number, text)| {
            let mark = if number == 0 { "> " } else { "  " };
            Line::from(vec![
                Span::styled(mark, paint.color(Color::Cyan)),
                Span::raw(text.as_str()),
            ])
        });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), area);
    if has_cursor {
        let at = |offset: usize| u16::try_from(offset).unwrap_or(u16::MAX);
        frame.set_cursor_position(Position {
            x: area
                .x
                .saturating_add(at(column + INDENT))
                .min(area.right().saturating_sub(1)),
            y: area.y.saturating_add(at(row - from)),
        });
    }
}

fn draw_picker(frame: &mut Frame, picker: &Picker, body: Rect, paint: Paint) {
    let area = body.inner(ratatui::layout::Margin::new(2, 1));
    if area.width < 10 || area.height < 3 {
        return;
    }
    let title = format!(" Session: {} ", one_line(&picker.wanted));
    let block = Block::new()
        .borders(Borders::ALL)
        .title(title)
        .border_style(paint.color(Color::Cyan));
    let inner = block.inner(area);
    let (rows, chosen) = picker.rows();
    let columns = usize::from(inner.width);
    let fitting = usize::from(inner.height);
    let from = (chosen + 1).saturating_sub(fitting);
    let lines: Vec<Line> = if picker.is_waiting() {
        vec![Line::raw("Asking the gateway…")]
    } else if rows.is_empty() {
        vec![Line::raw("No session is called so.")]
    } else {
        let rows = rows
            .iter()
            .enumerate()
            .skip(from)
            .take(fitting)
            .map(|(number, row)| {
                let mark = if number == chosen { "> " } else { "  " };
                let style = match number == chosen {
                    true => Style::new().add_modifier(Modifier::REVERSED),
                    false => Style::new(),
                };
                let text = match row.title.is_empty() {
                    true => format!("{mark}{}", row.shown),
                    false => format!("{mark}{}  {}", row.shown, row.title),
                };
                Line::styled(shorten(&text, columns), style)
            });
        rows.collect()
    };
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines), inner);
}

/// Harmless, and without line ends.
fn one_line(text: &str) -> String {
    harmless(text).replace('\n', " ")
}
