//! Charts as SVG text: self-contained, no scripts, no outside fonts.
//!
//! Text and axes are drawn in `currentColor`, so that a chart inside a page takes the page's ink and
//! reads in light and in dark. Numbers that are not finite are left out; a chart without any number
//! says so.

use jiff::Timestamp;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 860;
const HEIGHT: u32 = 420;
/// Height of one horizontal bar with its gap, in pixels.
const BAR_HEIGHT: u32 = 26;
const FONT: &str = "sans-serif";
const FONT_SIZE: i32 = 15;
const TITLE_SIZE: i32 = 18;
/// Stands for the page's ink until it is replaced: no chart colour equals it.
const INK: RGBColor = RGBColor(1, 2, 3);
/// Okabe and Ito's colours, told apart by colour-blind readers as well.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(117, 112, 109),
];

/// What a chart shows along its two axes.
#[derive(Clone, Copy, Debug)]
pub struct Axes<'a> {
    /// Above the chart.
    pub title: &'a str,
    /// Along the bottom.
    pub x: Axis<'a>,
    /// Along the left side.
    pub y: Axis<'a>,
}

/// One axis.
#[derive(Clone, Copy, Debug)]
pub struct Axis<'a> {
    /// Quantity and unit, such as `loss, USD`.
    pub label: &'a str,
    /// How numbers are spaced.
    pub scale: Scale,
}

/// How numbers are spaced along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm; numbers at or below zero are left out.
    Log,
    /// Seconds since 1970-01-01 UTC, shown as dates.
    Date,
}

/// Numbers drawn in one colour, `(x, y)`.
#[derive(Clone, Debug)]
pub struct Series<'a> {
    /// In the legend; empty for none.
    pub name: &'a str,
    /// How they are drawn.
    pub style: Style,
    /// The numbers, in the order in which a line joins them.
    pub points: Vec<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Joined by a line.
    Line,
    /// A dot each.
    Points,
    /// A small ring each, in the colour of the text: around dots of other series.
    Rings,
    /// A large ring each, likewise.
    Targets,
    /// A cross each, in the colour of the text.
    Crosses,
}

impl Style {
    /// Whether it is drawn in the colour of the text, which is no series' own.
    fn is_ink(self) -> bool {
        matches!(self, Self::Rings | Self::Targets | Self::Crosses)
    }
}

/// One of several charts of lines and dots, one below another.
#[derive(Clone, Debug)]
pub struct Panel<'a> {
    /// Its axes.
    pub axes: Axes<'a>,
    /// What it shows.
    pub series: Vec<Series<'a>>,
}

/// A vertical line with a name, such as the VaR of a distribution.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// In the legend.
    pub name: &'a str,
    /// Where on the x axis.
    pub at: f64,
}

/// One column of a histogram.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Where it starts on the x axis.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
    /// How high it is: a count, a share or a density.
    pub height: f64,
}

/// One bar of a bar chart.
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// Beside the bar.
    pub name: &'a str,
    /// Its length; negative goes to the left.
    pub value: f64,
    /// Half-length of its whisker, one standard error; 0 for none.
    pub error: f64,
}

/// Lines and dots.
pub fn xy(axes: &Axes<'_>, series: &[Series<'_>], marks: &[Mark<'_>]) -> String {
    svg(HEIGHT, |area| draw_xy(area, axes, series, marks))
}

/// Several charts of lines and dots, one below another.
pub fn panels(panels: &[Panel<'_>]) -> String {
    let rows = panels.len().max(1);
    svg(HEIGHT * rows as u32, |area| {
        let parts = area.split_evenly((rows, 1));
        parts.iter().zip(panels).try_for_each(|(area, panel)| draw_xy(area, &panel.axes, &panel.series, &[]))
    })
}

fn draw_xy(area: &Area<'_>, axes: &Axes<'_>, series: &[Series<'_>], marks: &[Mark<'_>]) -> Drawn {
    let points = || series.iter().flat_map(|s| s.points.iter().copied());
    let x = Span::of(axes.x.scale, points().map(|p| p.0).chain(marks.iter().map(|m| m.at)));
    let y = Span::of(axes.y.scale, points().map(|p| p.1));
    let mut chart = frame(area, axes, x, y)?;
    for (index, series) in series.iter().enumerate() {
        let colour = if series.style.is_ink() { INK } else { COLOURS[index % COLOURS.len()] };
        let thick = colour.stroke_width(2);
        let shown = series.points.iter().map(|p| (x.place(p.0), y.place(p.1)));
        let shown = shown.filter(|p| p.0.is_finite() && p.1.is_finite());
        let drawn = match series.style {
            Style::Line => chart.draw_series(LineSeries::new(shown, thick))?,
            Style::Points => chart.draw_series(shown.map(|p| Circle::new(p, 2, colour.filled())))?,
            Style::Rings => chart.draw_series(shown.map(|p| Circle::new(p, 4, colour.stroke_width(1))))?,
            Style::Targets => chart.draw_series(shown.map(|p| Circle::new(p, 9, thick)))?,
            Style::Crosses => chart.draw_series(shown.map(|p| Cross::new(p, 7, thick)))?,
        };
        if series.name.is_empty() {
            continue;
        }
        let style = series.style;
        drawn.label(series.name).legend(move |(x, y)| match style {
            Style::Line | Style::Points => swatch(x, y, colour).into_dyn(),
            Style::Rings => Circle::new((x + 8, y), 4, colour.stroke_width(1)).into_dyn(),
            Style::Targets => Circle::new((x + 8, y), 7, thick).into_dyn(),
            Style::Crosses => Cross::new((x + 8, y), 6, thick).into_dyn(),
        });
    }
    finish(&mut chart, marks, x, y, emptiest(points(), x, y))
}

/// The corner where a legend hides the fewest points, the upper right one where several hide as few.
fn emptiest(points: impl Iterator<Item = (f64, f64)>, x: Span, y: Span) -> SeriesLabelPosition {
    /// What a legend may take of the axes.
    const WIDE: f64 = 0.4;
    const HIGH: f64 = 0.3;
    let mut corners = [
        (SeriesLabelPosition::UpperRight, 0),
        (SeriesLabelPosition::UpperLeft, 0),
        (SeriesLabelPosition::LowerRight, 0),
        (SeriesLabelPosition::LowerLeft, 0),
    ];
    for (across, up) in points.map(|(px, py)| (x.part(px), y.part(py))) {
        let (is_right, is_upper) = (across > 1.0 - WIDE, up > 1.0 - HIGH);
        if (is_right || across < WIDE) && (is_upper || up < HIGH) {
            corners[2 * usize::from(!is_upper) + usize::from(!is_right)].1 += 1;
        }
    }
    let [first, rest @ ..] = corners;
    rest.into_iter().fold(first, |best, next| if next.1 < best.1 { next } else { best }).0
}

/// Columns, such as a distribution of losses.
pub fn histogram(axes: &Axes<'_>, columns: &[Column], marks: &[Mark<'_>]) -> String {
    let edges = columns.iter().flat_map(|c| [c.low, c.high]);
    let x = Span::of(axes.x.scale, edges.chain(marks.iter().map(|m| m.at)));
    let heights = columns.iter().map(|c| c.height);
    let y = match axes.y.scale {
        Scale::Log => Span::of(Scale::Log, heights),
        scale => Span::of(scale, heights.chain([0.0])),
    };
    svg(HEIGHT, |area| {
        let mut chart = frame(area, axes, x, y)?;
        let ground = if axes.y.scale == Scale::Log { y.low } else { 0.0 };
        let shown = columns.iter().map(|c| (x.place(c.low), x.place(c.high), y.place(c.height)));
        let shown = shown.filter(|c| c.0.is_finite() && c.1.is_finite() && c.2.is_finite());
        chart.draw_series(shown.map(|(low, high, top)| {
            Rectangle::new([(low, ground), (high, top)], COLOURS[0].mix(0.6).filled())
        }))?;
        finish(&mut chart, marks, x, y, SeriesLabelPosition::UpperRight)
    })
}

/// Horizontal bars with their numbers, in the order given. `unit` is shown below.
pub fn bars(title: &str, unit: &str, bars: &[Bar<'_>]) -> String {
    let shown: Vec<&Bar<'_>> = bars.iter().filter(|b| b.value.is_finite() && b.error.is_finite()).collect();
    let ends = shown.iter().flat_map(|b| [b.value - b.error, b.value + b.error]);
    let x = Span::of(Scale::Linear, ends.chain([0.0]));
    let rows = shown.len().max(1);
    let widest = shown.iter().map(|b| b.name.chars().count()).max().unwrap_or(0);
    let names = (8 * widest as i32 + 16).clamp(60, WIDTH as i32 / 2);
    svg(BAR_HEIGHT * rows as u32 + 110, |area| {
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FONT, TITLE_SIZE, &INK))
            .margin(10)
            .margin_right(100)
            .margin_left(names)
            .x_label_area_size(45)
            .build_cartesian_2d(x.low..x.high, rows as f64..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .x_labels(6)
            .x_desc(unit)
            .x_label_formatter(&|v| number(*v))
            .label_style((FONT, FONT_SIZE, &INK))
            .axis_style(INK.mix(0.5))
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.15))
            .draw()?;
        for (row, bar) in shown.iter().enumerate() {
            let row = row as f64;
            let body = [(0.0, row + 0.15), (bar.value, row + 0.85)];
            let middle = row + 0.5;
            let end = bar.value.max(0.0).max(bar.value + bar.error);
            let beside = |h| (FONT, FONT_SIZE).into_font().color(&INK).pos(Pos::new(h, VPos::Center));
            chart.draw_series([Rectangle::new(body, COLOURS[0].filled())])?;
            if bar.error > 0.0 {
                let whisker = vec![(bar.value - bar.error, middle), (bar.value + bar.error, middle)];
                chart.draw_series([PathElement::new(whisker, INK.stroke_width(2))])?;
            }
            let name = EmptyElement::at((x.low, middle))
                + Text::new(bar.name.to_owned(), (-8, 0), beside(HPos::Right));
            chart.plotting_area().draw(&name)?;
            let value =
                EmptyElement::at((end, middle)) + Text::new(number(bar.value), (6, 0), beside(HPos::Left));
            chart.plotting_area().draw(&value)?;
        }
        Ok(())
    })
}

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Draws into text of this height in pixels.
fn svg(height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?)).expect("writing into a string does not fail");
    }
    // Scales with the page that holds it.
    let fixed = format!("<svg width=\"{WIDTH}\" height=\"{height}\"");
    let fluid = "<svg role=\"img\" style=\"max-width:100%;height:auto\"";
    text.replacen(&fixed, &format!("{fluid}{}", &fixed[4..]), 1).replace("#010203", "currentColor")
}

fn frame<'a, 'b>(
    area: &'a Area<'b>,
    axes: &Axes<'_>,
    x: Span,
    y: Span,
) -> Result<Chart<'a, 'b>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(axes.title, (FONT, TITLE_SIZE, &INK))
        .margin(10)
        .margin_right(30)
        .x_label_area_size(45)
        .y_label_area_size(75)
        .build_cartesian_2d(x.low..x.high, y.low..y.high)?;
    chart
        .configure_mesh()
        .x_labels(8)
        .y_labels(6)
        .x_desc(axes.x.label)
        .y_desc(axes.y.label)
        .x_label_formatter(&|v| x.label(*v))
        .y_label_formatter(&|v| y.label(*v))
        .label_style((FONT, FONT_SIZE, &INK))
        .axis_style(INK.mix(0.5))
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .draw()?;
    if x.is_empty || y.is_empty {
        let centred = Pos::new(HPos::Center, VPos::Center);
        let style = (FONT, TITLE_SIZE).into_font().color(&INK).pos(centred);
        let middle = ((x.low + x.high) / 2.0, (y.low + y.high) / 2.0);
        chart.plotting_area().draw(&Text::new("no data", middle, style))?;
    }
    Ok(chart)
}

/// Marks and legend.
fn finish<'a, 'b: 'a>(
    chart: &mut Chart<'a, 'b>,
    marks: &[Mark<'_>],
    x: Span,
    y: Span,
    legend: SeriesLabelPosition,
) -> Drawn {
    for (index, mark) in marks.iter().enumerate().filter(|(_, mark)| x.place(mark.at).is_finite()) {
        let colour = COLOURS[(index + 1) % COLOURS.len()];
        let line = vec![(x.place(mark.at), y.low), (x.place(mark.at), y.high)];
        let label = format!("{} {}", mark.name, x.label(x.place(mark.at)));
        let drawn = chart.draw_series([PathElement::new(line, colour.stroke_width(2))])?;
        drawn.label(label).legend(move |(x, y)| swatch(x, y, colour));
    }
    chart
        .configure_series_labels()
        .position(legend)
        .label_font((FONT, FONT_SIZE, &INK))
        .border_style(TRANSPARENT)
        .draw()?;
    Ok(())
}

fn swatch(x: i32, y: i32, colour: RGBColor) -> Rectangle<(i32, i32)> {
    Rectangle::new([(x, y - 4), (x + 16, y + 4)], colour.filled())
}

/// The part of an axis that is shown, in the places of [`Span::place`].
#[derive(Clone, Copy, Debug)]
struct Span {
    scale: Scale,
    low: f64,
    high: f64,
    is_empty: bool,
}

impl Span {
    fn of(scale: Scale, numbers: impl Iterator<Item = f64>) -> Self {
        let empty = Self { scale, low: 0.0, high: 1.0, is_empty: true };
        let places = numbers.map(|x| empty.place(x)).filter(|x| x.is_finite());
        let (low, high) = places.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        if low > high {
            return empty;
        }
        // A single number needs room around it; others a little, so that no dot is cut.
        let room = if high > low { 0.02 * (high - low) } else { (0.1 * low.abs()).max(1e-9) };
        Self { scale, low: low - room, high: high + room, is_empty: false }
    }

    /// Where a number stands; not finite where it has no place.
    fn place(self, x: f64) -> f64 {
        match self.scale {
            Scale::Linear | Scale::Date => x,
            Scale::Log => x.log10(),
        }
    }

    /// How far along the axis, between 0 and 1.
    fn part(self, x: f64) -> f64 {
        (self.place(x) - self.low) / (self.high - self.low)
    }

    fn label(self, place: f64) -> String {
        match self.scale {
            Scale::Linear => number(place),
            Scale::Log => number(10f64.powf(place)),
            Scale::Date => Timestamp::from_second(place as i64)
                .map_or_else(|_| String::new(), |at| at.to_string().chars().take(10).collect()),
        }
    }
}

/// A number with at most four digits, in thousands (k), millions (M) or billions (B) where large.
fn number(x: f64) -> String {
    let size = x.abs();
    let (scaled, unit) = match size {
        size if size >= 1e9 => (x / 1e9, "B"),
        size if size >= 1e6 => (x / 1e6, "M"),
        size if size >= 1e4 => (x / 1e3, "k"),
        _ => (x, ""),
    };
    let decimals = match scaled.abs() {
        s if s >= 100.0 || s == 0.0 => 0,
        s if s >= 10.0 => 1,
        s if s >= 1.0 => 2,
        s if s >= 1e-4 => (2.0 - s.log10().floor()) as usize,
        _ => return format!("{scaled:.2e}"),
    };
    let text = format!("{scaled:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(scale: Scale) -> Axes<'static> {
        let axis = |label| Axis { label, scale };
        Axes { title: "losses", x: axis("loss, USD"), y: Axis { label: "paths", scale: Scale::Linear } }
    }

    fn numbers_in(text: &str) -> bool {
        !text.contains("NaN") && !text.contains("inf")
    }

    #[test]
    fn numbers_are_short() {
        for (x, shown) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (-12.34, "-12.3"),
            (1234.0, "1234"),
            (12_345.0, "12.3k"),
            (-2e6, "-2M"),
            (3.5e9, "3.5B"),
            (0.001_234, "0.00123"),
            (1.5e-7, "1.50e-7"),
        ] {
            assert_eq!(number(x), shown, "{x}");
        }
    }

    #[test]
    fn a_chart_shows_its_series_and_marks() {
        let series = Series { name: "margin", style: Style::Line, points: vec![(0.0, 1.0), (1.0, 3.0)] };
        let text = xy(&axes(Scale::Linear), &[series], &[Mark { name: "VaR", at: 0.5 }]);
        for part in ["<svg", "losses", "loss, USD", "margin", "VaR 0.5", "currentColor", "</svg>"] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn panels_stand_below_one_another() {
        let panel = |name| Panel {
            axes: axes(Scale::Linear),
            series: vec![
                Series { name, style: Style::Points, points: vec![(0.0, 1.0), (1.0, 3.0)] },
                Series { name: "chosen", style: Style::Targets, points: vec![(1.0, 3.0)] },
                Series { name: "since", style: Style::Crosses, points: vec![(0.5, 2.0)] },
            ],
        };
        let text = panels(&[panel("one"), panel("two")]);
        for part in ["one", "two", "chosen", "since", "height=\"840\""] {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert!(panels(&[]).contains("</svg>"));
    }

    #[test]
    fn a_legend_stands_where_it_hides_least() {
        let unit = Span { scale: Scale::Linear, low: 0.0, high: 1.0, is_empty: false };
        let corner = |points: &[(f64, f64)]| emptiest(points.iter().copied(), unit, unit);
        let all = [(0.9, 0.9), (0.1, 0.9), (0.9, 0.1), (0.1, 0.1)];
        assert!(matches!(corner(&[]), SeriesLabelPosition::UpperRight));
        assert!(matches!(corner(&all[..1]), SeriesLabelPosition::UpperLeft));
        assert!(matches!(corner(&all[..2]), SeriesLabelPosition::LowerRight));
        assert!(matches!(corner(&all[..3]), SeriesLabelPosition::LowerLeft));
        assert!(matches!(
            corner(&[(0.9, 0.9), (0.1, 0.9), (f64::NAN, 0.1)]),
            SeriesLabelPosition::LowerRight
        ));
        assert!(matches!(corner(&[(0.5, 0.5), (0.5, 0.9)]), SeriesLabelPosition::UpperRight));
    }

    #[test]
    fn dates_and_powers_of_ten_are_labelled() {
        let points = vec![(1_583_971_200.0, 1.0), (1_615_507_200.0, 2.0)];
        let dated = Series { name: "", style: Style::Points, points };
        assert!(xy(&axes(Scale::Date), &[dated], &[]).contains("2020-"));
        let wide = Series { name: "", style: Style::Points, points: vec![(1.0, 1.0), (1e6, 2.0)] };
        assert!(xy(&axes(Scale::Log), &[wide], &[]).contains("1M"));
    }

    #[test]
    fn a_bar_is_as_long_as_its_value() {
        let bar = |name, value| Bar { name, value, error: 0.0 };
        let text = bars("speed", "s", &[bar("one", 1.0), bar("two", 2.0)]);
        let widths: Vec<f64> = text
            .split("<rect ")
            .filter(|rect| rect.contains("#0072B2"))
            .filter_map(|rect| rect.split("width=\"").nth(1)?.split('"').next()?.parse().ok())
            .collect();
        assert_eq!(widths.len(), 2, "{text}");
        assert!((widths[1] / widths[0] - 2.0).abs() < 0.02, "{widths:?}");
    }

    #[test]
    fn names_from_outside_are_escaped() {
        let text = bars("a<b", "USD", &[Bar { name: "<script>&\"", value: 1.0, error: 0.1 }]);
        assert!(!text.contains("<script>") && text.contains("&lt;script&gt;&amp;"), "{text}");
    }

    #[test]
    fn odd_numbers_leave_a_sound_chart() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, -1e300, 1e-300] {
            for scale in [Scale::Linear, Scale::Log, Scale::Date] {
                let points = vec![(odd, odd), (1.0, odd)];
                let series = Series { name: "x", style: Style::Line, points };
                let column = Column { low: odd, high: 2.0, height: odd };
                let mark = Mark { name: "m", at: odd };
                assert!(
                    numbers_in(&xy(&axes(scale), std::slice::from_ref(&series), &[mark])),
                    "{odd} {scale:?}"
                );
                assert!(numbers_in(&histogram(&axes(scale), &[column], &[mark])), "{odd} {scale:?}");
            }
            assert!(numbers_in(&bars("t", "u", &[Bar { name: "b", value: odd, error: odd }])), "{odd}");
        }
        let nothing = xy(&axes(Scale::Linear), &[], &[]);
        assert!(nothing.contains("no data"));
        assert!(bars("t", "u", &[]).contains("</svg>"));
        assert!(histogram(&axes(Scale::Linear), &[], &[]).contains("no data"));
    }
}
