//! The plots.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

use crate::growth::Curve;
use crate::latencies::Latency;
use crate::throughput::Rate;

const SIZE: (u32, u32) = (900, 480);
const FONT: &str = "sans-serif";

type Outcome = Result<(), Box<dyn Error>>;

/// Bars of entries a second, with a mark where the limit is.
pub fn throughput(path: &Path, rates: &[Rate]) -> Outcome {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let ends = |limit: bool| rates.iter().filter_map(move |rate| if limit { rate.limit } else { Some(rate.median) });
    let most = ends(true).chain(ends(false)).fold(1e4, f64::max) * 2.0;
    let jobs = rates.len() as i32;
    let mut chart = ChartBuilder::on(&root)
        .caption("Entries a second; the red mark is the limit of the hardware", (FONT, 18))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(300)
        .build_cartesian_2d((1e3..most).log_scale(), (0..jobs).into_segmented())?;
    let name = |at: &SegmentValue<i32>| match at {
        SegmentValue::CenterOf(at) => {
            rates.get((jobs - 1 - at) as usize).map_or(String::new(), |rate| rate.job.clone())
        }
        _ => String::new(),
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh()
        .y_labels(rates.len())
        .y_label_formatter(&name)
        .x_label_formatter(&|rate| format!("{rate:.0e}"));
    mesh.draw()?;
    for (at, rate) in (0..jobs).rev().zip(rates) {
        let (below, above) = (SegmentValue::Exact(at), SegmentValue::Exact(at + 1));
        let mut bar = Rectangle::new([(1e3, below.clone()), (rate.median, above.clone())], BLUE.mix(0.6).filled());
        bar.set_margin(4, 4, 0, 0);
        chart.draw_series([bar])?;
        if let Some(limit) = rate.limit {
            chart.draw_series([PathElement::new([(limit, below), (limit, above)], RED.stroke_width(2))])?;
        }
    }
    Ok(root.present()?)
}

/// How long the call took that so many of the calls were faster than.
pub fn latencies(path: &Path, latencies: &[Latency]) -> Outcome {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let slowest = latencies.iter().map(|latency| latency.nanos.max()).max().unwrap_or(1) as f64 / 1e3;
    let mut chart = ChartBuilder::on(&root)
        .caption("Latency, in microseconds, by percentile", (FONT, 18))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..5.0, (0.05..slowest * 2.0).log_scale())?;
    // One nine more with every step.
    let percentile = |nines: &f64| {
        let digits = (nines.round() as usize).saturating_sub(2);
        format!("{:.digits$} %", (1.0 - 10f64.powf(-nines)) * 100.0)
    };
    chart.configure_mesh().x_labels(6).x_label_formatter(&percentile).draw()?;
    for (at, latency) in latencies.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        let points = (0..=100).map(|step| {
            let nines = f64::from(step) / 20.0;
            let nanos = latency.nanos.value_at_quantile(1.0 - 10f64.powf(-nines)).max(50);
            (nines, nanos as f64 / 1e3)
        });
        let line = chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
        line.label(latency.call).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
    }
    legend(&mut chart, SeriesLabelPosition::UpperLeft)?;
    Ok(root.present()?)
}

/// How long an operation takes, by the size of the stream.
pub fn growth(path: &Path, curves: &[Curve]) -> Outcome {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let counts = points().map(|&(count, _)| count as f64);
    let (fewest, most) = counts.fold((f64::INFINITY, 1.0), |(low, high), count| (count.min(low), count.max(high)));
    let slowest = points().map(|&(_, nanos)| nanos).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(&root)
        .caption("Nanoseconds for one operation, by the entries of the stream", (FONT, 18))
        .margin(10)
        .x_label_area_size(35)
        .y_label_area_size(70)
        .build_cartesian_2d((fewest..most * 1.5).log_scale(), (10.0..slowest * 3.0).log_scale())?;
    chart.configure_mesh().x_label_formatter(&|count| format!("{count:.0e}")).draw()?;
    for (at, curve) in curves.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        let points: Vec<_> = curve.points.iter().map(|&(count, nanos)| (count as f64, nanos)).collect();
        let line = chart.draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?;
        line.label(curve.operation)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    legend(&mut chart, SeriesLabelPosition::LowerRight)?;
    Ok(root.present()?)
}

fn legend<'a, X, Y>(
    chart: &mut ChartContext<'a, SVGBackend<'a>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Outcome
where
    X: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let mut labels = chart.configure_series_labels();
    Ok(labels.position(position).background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?)
}
