//! Pictures of what happened: a strip with a row for each goal, and a short film.

use font8x8::{BASIC_FONTS, UnicodeFonts};
use image::codecs::gif::{GifEncoder, Repeat};
use image::imageops::{replace, thumbnail};
use image::{Delay, Frame, ImageError, Rgb, RgbImage, RgbaImage, buffer::ConvertBuffer};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::{Duration, Instant};

/// Size of a picture that is kept, pixels.
pub const SIZE: (u32, u32) = (320, 240);
/// Time between two pictures.
pub const SPACING: Duration = Duration::from_millis(200);
/// Pictures in a row of the strip.
pub const COLUMNS: usize = 6;
/// Size of a picture in the strip, pixels.
const SMALL: (u32, u32) = (240, 180);
/// Height of a label, pixels.
const BAR: u32 = 22;
/// Height of a film's title, pixels.
const TITLE: u32 = 38;
/// Pixels of a letter of the font.
const LETTER: u32 = 8;
const BACKGROUND: Rgb<u8> = Rgb([24, 24, 28]);
const PLAIN: Rgb<u8> = Rgb([235, 235, 235]);
const GOOD: Rgb<u8> = Rgb([90, 220, 110]);
const BAD: Rgb<u8> = Rgb([240, 100, 90]);

/// Keeps some of the pictures of a camera while an episode runs.
#[derive(Debug, Clone, Default)]
pub struct Camera {
    next: Option<Instant>,
    spacing: Duration,
    pictures: Vec<RgbImage>,
}

impl Camera {
    /// Begins an episode, of which a picture is kept every `spacing` ([`SPACING`] of the graph's time).
    pub fn roll(&mut self, now: Instant, spacing: Duration) {
        self.pictures.clear();
        self.spacing = spacing;
        self.next = Some(now);
    }

    /// Whether a picture that came `now` shall be kept.
    pub fn wants(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| now >= next)
    }

    /// Keeps a picture. Call only when it [`Self::wants`] one: scaling down costs time.
    pub fn keep(&mut self, rgb: RgbImage, now: Instant) {
        self.pictures.push(thumbnail(&rgb, SIZE.0, SIZE.1));
        // On the grid, unless that has been missed altogether.
        self.next = self.next.map(|next| {
            let grid = next + self.spacing;
            if now < grid { grid } else { now + self.spacing }
        });
    }

    /// Ends the episode.
    pub fn cut(&mut self) -> Vec<RgbImage> {
        self.next = None;
        std::mem::take(&mut self.pictures)
    }
}

/// An episode in pictures.
#[derive(Debug, Clone)]
pub struct Scene {
    /// What was asked.
    pub label: String,
    /// What became of it.
    pub outcome: String,
    /// Whether it was done.
    pub success: bool,
    /// In order; may be empty.
    pub pictures: Vec<RgbImage>,
}

/// Up to `n` of the pictures, the first and the last among them, evenly spaced.
pub fn evenly(pictures: &[RgbImage], n: usize) -> Vec<&RgbImage> {
    if pictures.len() <= n {
        return pictures.iter().collect();
    }
    (0..n).filter_map(|i| pictures.get(i * (pictures.len() - 1) / (n.max(2) - 1))).collect()
}

/// One row a scene: its label, and under it some of its pictures.
pub fn strip(scenes: &[Scene]) -> RgbImage {
    let (width, row) = (SMALL.0 * COLUMNS as u32, BAR + SMALL.1);
    let mut sheet = RgbImage::from_pixel(width, (row * scenes.len() as u32).max(1), BACKGROUND);
    for (i, scene) in scenes.iter().enumerate() {
        let top = row * i as u32;
        label(&mut sheet, top, scene);
        for (column, picture) in evenly(&scene.pictures, COLUMNS).into_iter().enumerate() {
            let small = thumbnail(picture, SMALL.0, SMALL.1);
            replace(&mut sheet, &small, i64::from(SMALL.0 * column as u32), i64::from(top + BAR));
        }
    }
    sheet
}

/// The label of a scene over the whole width.
fn label(sheet: &mut RgbImage, top: u32, scene: &Scene) {
    const SCALE: u32 = 2;
    let colour = if scene.success { GOOD } else { BAD };
    let above = top + BAR.saturating_sub(LETTER * SCALE) / 2;
    let room = sheet.width().saturating_sub(8) / (LETTER * SCALE);
    let goal = room.saturating_sub(scene.outcome.chars().count() as u32 + 2);
    let after = write(sheet, (4, above), &shortened(&scene.label, goal as usize), PLAIN, SCALE);
    write(sheet, (after + LETTER * SCALE, above), &scene.outcome, colour, SCALE);
}

fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(letters.saturating_sub(2)).collect();
    short.push_str("..");
    short
}

/// Writes a text; what does not fit is left out. Returns where it ends.
fn write(sheet: &mut RgbImage, (left, top): (u32, u32), text: &str, colour: Rgb<u8>, scale: u32) -> u32 {
    let mut x = left;
    for letter in text.chars() {
        let rows = BASIC_FONTS.get(letter).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
        for (dy, row) in (0..).zip(rows) {
            for dx in (0..LETTER).filter(|dx| row & (1 << dx) != 0) {
                for (sx, sy) in (0..scale).flat_map(|sx| (0..scale).map(move |sy| (sx, sy))) {
                    if let Some(pixel) = sheet.get_pixel_mut_checked(x + dx * scale + sx, top + dy * scale + sy) {
                        *pixel = colour;
                    }
                }
            }
        }
        x += LETTER * scale;
    }
    x
}

/// The scenes one after the other as a GIF, at the speed at which they happened; the last picture of each stays for a second.
///
/// # Errors
/// When the file cannot be written.
pub fn film(scenes: &[Scene], file: &Path) -> Result<(), ImageError> {
    // 1 is best, 30 fastest; with few samples the palette misses what is small, as the objects are.
    let mut gif = GifEncoder::new_with_speed(BufWriter::new(File::create(file)?), 5);
    gif.set_repeat(Repeat::Infinite)?;
    for scene in scenes {
        for (i, picture) in scene.pictures.iter().enumerate() {
            let last = i + 1 == scene.pictures.len();
            let mut sheet = RgbImage::from_pixel(SIZE.0, SIZE.1 + TITLE, BACKGROUND);
            title(&mut sheet, scene, last);
            replace(&mut sheet, picture, 0, i64::from(TITLE));
            let rgba: RgbaImage = sheet.convert();
            let shown = if last { Duration::from_secs(1) } else { SPACING };
            gif.encode_frame(Frame::from_parts(rgba, 0, 0, Delay::from_saturating_duration(shown)))?;
        }
    }
    Ok(())
}

/// The goal in one or two lines, and under it the outcome once it is known.
fn title(sheet: &mut RgbImage, scene: &Scene, over: bool) {
    let line = LETTER + 3;
    for (i, text) in (0..).zip(wrapped(&scene.label, (SIZE.0 / LETTER) as usize - 1)) {
        write(sheet, (4, 4 + line * i), &text, PLAIN, 1);
    }
    if over {
        write(sheet, (4, 4 + 2 * line), &scene.outcome, if scene.success { GOOD } else { BAD }, 1);
    }
}

/// A text in at most two lines of so many letters.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines
            .last_mut()
            .filter(|line| line.is_empty() || line.chars().count() + 1 + word.chars().count() <= letters);
        match line {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => line.extend([" ", word]),
            None => lines.push(word.to_owned()),
        }
    }
    if lines.len() > 2 {
        let rest = lines.split_off(1).join(" ");
        lines.push(rest);
    }
    lines.iter().map(|line| shortened(line, letters)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use image::AnimationDecoder;

    fn grey(value: u8) -> RgbImage {
        RgbImage::from_pixel(SIZE.0, SIZE.1, Rgb([value; 3]))
    }

    fn scene(success: bool, n: u8) -> Scene {
        Scene {
            label: "push the blue brick".into(),
            outcome: if success { "succeeded in 7.2 s" } else { "failed" }.into(),
            success,
            pictures: (0..n).map(|i| grey(100 + 10 * i)).collect(),
        }
    }

    #[test]
    fn the_camera_keeps_a_picture_every_fifth_of_a_second_of_an_episode() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut camera = Camera::default();
        assert!(!camera.wants(start), "not before the episode");
        camera.roll(start, SPACING);
        let mut kept = Vec::new();
        for ms in (0..1000).step_by(33).chain([1900, 1933, 2110]) {
            if camera.wants(at(ms)) {
                camera.keep(RgbImage::new(640, 480), at(ms));
                kept.push(ms);
            }
        }
        assert_eq!(kept, [0, 231, 429, 627, 825, 1900, 2110]);
        let pictures = camera.cut();
        assert_eq!((pictures.len(), pictures[0].dimensions()), (7, SIZE));
        assert!(!camera.wants(at(9000)) && camera.cut().is_empty());
    }

    #[test]
    fn the_first_and_the_last_picture_are_among_those_chosen() {
        let pictures: Vec<_> = (0..41).map(grey).collect();
        let values: Vec<_> = evenly(&pictures, 6).iter().map(|p| p.get_pixel(0, 0).0[0]).collect();
        assert_eq!(values, [0, 8, 16, 24, 32, 40]);
        assert_eq!(evenly(&pictures[..2], 6).len(), 2);
        assert!(evenly(&[], 6).is_empty());
    }

    #[test]
    fn the_strip_shows_each_goal_with_its_outcome_and_pictures() {
        let sheet = strip(&[scene(true, 6), scene(false, 3)]);
        assert_eq!(sheet.dimensions(), (SMALL.0 * 6, 2 * (BAR + SMALL.1)));
        let bar = |row: u32, colour: Rgb<u8>| {
            let top = row * (BAR + SMALL.1);
            (top..top + BAR)
                .flat_map(|y| (0..sheet.width()).map(move |x| (x, y)))
                .any(|(x, y)| *sheet.get_pixel(x, y) == colour)
        };
        assert!(bar(0, GOOD) && bar(0, PLAIN) && !bar(0, BAD));
        assert!(bar(1, BAD) && bar(1, PLAIN) && !bar(1, GOOD));
        let middle = |row: u32, column: u32| {
            *sheet.get_pixel(SMALL.0 * column + SMALL.0 / 2, row * (BAR + SMALL.1) + BAR + SMALL.1 / 2)
        };
        assert_eq!((middle(0, 5), middle(1, 2), middle(1, 3)), (Rgb([150; 3]), Rgb([120; 3]), BACKGROUND));
        assert!(strip(&[]).height() > 0);
    }

    #[test]
    fn a_long_or_foreign_goal_leaves_room_for_the_outcome() {
        let long = Scene { label: "räum den roten Würfel ".repeat(20), ..scene(true, 1) };
        let sheet = strip(&[long]);
        let green = |x: u32| (0..BAR).any(|y| *sheet.get_pixel(x, y) == GOOD);
        assert!((sheet.width() / 2..sheet.width()).any(green));
    }

    #[test]
    fn a_title_is_wrapped_between_words_and_cut_after_two_lines() {
        assert_eq!(wrapped("push the brick", 20), ["push the brick"]);
        assert_eq!(wrapped("please push the blue brick", 16), ["please push the", "blue brick"]);
        assert_eq!(wrapped("one two three four five six", 9), ["one two", "three f.."]);
        assert_eq!(wrapped("incomprehensibilities", 9), ["incompr.."]);
        assert_eq!(wrapped("", 9), [""]);
    }

    #[test]
    fn the_film_has_every_picture_and_rests_on_the_last() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("film.gif");
        film(&[scene(true, 3), scene(false, 0), scene(false, 2)], &file).unwrap();
        let decoder = image::codecs::gif::GifDecoder::new(std::io::BufReader::new(File::open(&file).unwrap())).unwrap();
        let frames = decoder.into_frames().collect_frames().unwrap();
        let delays: Vec<_> = frames.iter().map(|f| Duration::from(f.delay()).as_millis()).collect();
        assert_eq!(delays, [200, 200, 1000, 200, 1000]);
        assert_eq!(frames[0].buffer().dimensions(), (SIZE.0, SIZE.1 + TITLE));
    }
}
