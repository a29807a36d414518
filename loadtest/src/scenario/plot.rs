//! Plots as SVG, without a library: lines, or points, over one axis of time.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
/// Room for the numbers at the axes.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 8.0;
const GRID: u32 = 4;

/// A named series: x and y, ascending in x.
pub(super) struct Series<'a> {
    pub(super) name: &'a str,
    pub(super) colour: &'a str,
    pub(super) points: Vec<(f64, f64)>,
    /// Dots instead of a line.
    pub(super) dots: bool,
}

/// A plot of these over the same axes; both begin at nought.
pub(super) fn plot(title: &str, unit: &str, series: &[Series<'_>]) -> String {
    let all = || series.iter().flat_map(|series| series.points.iter());
    let right = all().map(|(x, _)| *x).fold(1.0, f64::max);
    let high = nice(all().map(|(_, y)| *y).fold(0.0, f64::max));
    let at = |(x, y): (f64, f64)| {
        let x = LEFT + x / right * (WIDTH - LEFT - RIGHT);
        (x, TOP + (1.0 - y / high) * (HEIGHT - TOP - BOTTOM))
    };
    let mut svg = format!(
        "<figure><figcaption>{title}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">"
    );
    for step in 0..=GRID {
        let share = f64::from(step) / f64::from(GRID);
        let (_, y) = at((0.0, high * share));
        let (x, _) = at((right * share, 0.0));
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" class=\"y\">{}</text><text x=\"{x:.1}\" y=\"{HEIGHT}\" class=\"x\">{:.0} s</text>",
            LEFT - 6.0,
            y + 4.0,
            number(high * share),
            right * share,
        );
    }
    for one in series {
        svg.push_str(&draw(one, at));
    }
    let names: Vec<String> = series
        .iter()
        .map(|series| format!("<span style=\"color:{}\">■</span> {}", series.colour, series.name))
        .collect();
    let _ = write!(svg, "</svg><p>{} ({unit})</p></figure>", names.join(" · "));
    svg
}

fn draw(series: &Series<'_>, at: impl Fn((f64, f64)) -> (f64, f64)) -> String {
    let Series { colour, points, dots, .. } = series;
    let mut drawn = String::new();
    if *dots {
        for (x, y) in points.iter().map(|point| at(*point)) {
            let _ = write!(drawn, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"{colour}\"/>");
        }
        return drawn;
    }
    let path: Vec<String> = points.iter().map(|point| at(*point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!("<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\"/>", path.join(" "))
}

/// The next number from here on that reads well on an axis.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 4.0, 5.0, 10.0].into_iter().map(|step| step * unit).find(|step| *step >= most).unwrap_or(most)
}

fn number(value: f64) -> String {
    if value >= 10.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (most, end) in [(0.0, 1.0), (0.7, 1.0), (1.2, 2.0), (38.0, 40.0), (401.0, 500.0), (7_000.0, 10_000.0)] {
            assert!((nice(most) - end).abs() < 1e-9, "{most}: {}", nice(most));
        }
    }

    #[test]
    fn what_is_plotted_stays_within_the_picture() {
        let points = vec![(0.0, 0.0), (5.0, 80.0), (10.0, 40.0)];
        let svg = plot("a", "ms", &[Series { name: "x", colour: "#123", points, dots: false }]);
        let (_, path) = svg.split_once("points=\"").unwrap();
        let (path, _) = path.split_once('"').unwrap();
        let points: Vec<(f64, f64)> = path
            .split(' ')
            .map(|point| point.split_once(',').unwrap())
            .map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()))
            .collect();
        assert_eq!(points.len(), 3);
        assert!(points.iter().all(|(x, y)| (LEFT..=WIDTH).contains(x) && (TOP..=HEIGHT).contains(y)), "{points:?}");
        assert!(points[1].1 < points[2].1, "more is higher up");
    }
}
