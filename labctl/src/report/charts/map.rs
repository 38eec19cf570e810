//! A chapter's map: places as points, and routes drawn in proportion to their latency.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{BAND, Drawing, GOOD, INK, LETTER, Size};
use crate::report::geography::Geography;
use crate::report::terminal::wrap;

/// Draws a map.
pub fn map(geography: &Geography, size: Size) -> String {
    super::drawn(Size { height: size.height + 5 * size.text, ..size }, |root, size| {
        draw(root, geography, size)
    })
}

fn draw(root: &Drawing<'_>, geography: &Geography, size: Size) -> super::Done {
    let places = geography.positions();
    let most = |figure: fn(&(f64, f64)) -> f64| places.iter().map(figure).fold(1.0, f64::max);
    // Leaves room for the labels around the points.
    let (beside, above) = (f64::from(if size.is_narrow() { 62 } else { 130 }), f64::from(4 * size.text));
    let room = (f64::from(size.width) - 2.0 * beside, f64::from(size.height) - 2.0 * above);
    let scale = (room.0 / most(|place| place.0)).min(room.1 / most(|place| place.1));
    let left = (f64::from(size.width) - most(|place| place.0) * scale) / 2.0;
    let at: Vec<_> =
        places.iter().map(|(x, y)| ((left + x * scale) as i32, (above + y * scale) as i32)).collect();
    let text = ("sans-serif", size.text).into_font();
    let centred = |color: RGBColor, v: VPos| text.clone().color(&color).pos(Pos::new(HPos::Center, v));
    for (one, other, way) in &geography.ways {
        let (from, to) = (at[*one], at[*other]);
        root.draw(&PathElement::new(vec![from, to], INK.stroke_width(2)))?;
        let middle = (i32::midpoint(from.0, to.0), i32::midpoint(from.1, to.1) - 6);
        root.draw_text(&format!("{way:.0} ms"), &centred(BAND, VPos::Bottom), middle)?;
    }
    let letters = (2.0 * beside / (f64::from(size.text) * LETTER)) as usize;
    let row = size.text as i32 + 3;
    let middle = at.iter().map(|(_, y)| *y).sum::<i32>() / at.len().max(1) as i32;
    for ((name, what), (x, y)) in geography.places.iter().zip(&at) {
        root.draw(&Circle::new((*x, *y), 7, GOOD.filled()))?;
        let lines: Vec<_> = wrap(what, letters).into_iter().take(2).collect();
        // Routes lead towards the middle, so labels go on the other side.
        let top = if *y < middle { y - 12 - (lines.len() as i32 + 1) * row } else { y + 11 };
        root.draw_text(name, &centred(GOOD, VPos::Top), (*x, top))?;
        for (number, line) in lines.iter().enumerate() {
            root.draw_text(line, &centred(INK, VPos::Top), (*x, top + (number as i32 + 1) * row))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{NARROW, WIDE};
    use super::*;

    #[test]
    fn a_map_names_its_places_and_says_how_long_each_way_takes() {
        let place = |name: &str| (name.to_owned(), "db-1, shop".to_owned());
        let geography = Geography {
            places: vec![place("virginia"), place("ireland"), place("sydney")],
            ways: vec![(0, 1, 80.0), (0, 2, 200.0), (1, 2, 140.0)],
        };
        for size in [WIDE, NARROW] {
            let svg = map(&geography, size);
            for part in ["virginia", "sydney", "80 ms", "200 ms", "db-1, shop", "circle"] {
                assert!(svg.contains(part), "{part}: {svg}");
            }
        }
    }
}
