//! Draws contact sheets: what both cameras see at the start of some scenes of a split, as large as the policy gets it.
//!
//! Usage, from the repository's root: looks <split> <scenes> <file.png>
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use efm_sim::{Camera, Scene, Split, World, WorldFiles};
use image::RgbImage;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let split: Split = args[1].parse().unwrap();
    let n: u32 = args[2].parse().unwrap();
    let columns = 4;
    let mut world = World::new(&WorldFiles { urdf: "urdf/panda.urdf".into() }).unwrap();
    let mut sheet = RgbImage::new(columns * 480, n.div_ceil(columns) * 240);
    let mut picture = Vec::new();
    for (i, seed) in (0..n).zip(split.seeds()) {
        let scene = Scene::sample(seed);
        world.reset(&scene);
        println!("{seed} {} '{}' {:?}", scene.task.name(), scene.sentence, scene.look.table);
        for (camera, x, width) in [(Camera::Front, 0, 320), (Camera::Wrist, 320, 160)] {
            world.render(camera, &mut picture).unwrap();
            let full = RgbImage::from_raw(640, 480, picture.clone()).unwrap();
            let small = image::imageops::resize(&full, width, width * 3 / 4, image::imageops::FilterType::Triangle);
            image::imageops::replace(
                &mut sheet,
                &small,
                i64::from(i % columns * 480 + x),
                i64::from(i / columns * 240),
            );
        }
    }
    sheet.save(&args[3]).unwrap();
}
