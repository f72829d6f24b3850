#![allow(missing_docs, clippy::unwrap_used)]
use efm_sim::*;
fn main() {
    let mut world = World::new(&WorldFiles { urdf: "urdf/panda.urdf".into() }).unwrap();
    let scene = Scene::sample(3);
    println!("{}", scene.sentence);
    world.reset(&scene);
    println!("{:?}", world.tool_pose());
    let t = std::time::Instant::now();
    for _ in 0..1000 { world.step(); }
    println!("step {:?}", t.elapsed() / 1000);
    println!("{:?} {:?}", world.tool_pose(), world.joint_state());
    let mut p = vec![];
    world.render(Camera::Front, &mut p).unwrap();
    image::save_buffer("/work/scratch/front.png", &p, 640, 480, image::ColorType::Rgb8).unwrap();
    world.render(Camera::Wrist, &mut p).unwrap();
    image::save_buffer("/work/scratch/wrist.png", &p, 640, 480, image::ColorType::Rgb8).unwrap();
    let t = std::time::Instant::now();
    for _ in 0..50 { world.render(Camera::Front, &mut p).unwrap(); }
    println!("render {:?}", t.elapsed() / 50);
}
