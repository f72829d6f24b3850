#![allow(clippy::unwrap_used)]
use super::*;
use proptest::prelude::*;

/// Corners of a box from 0 to 1, 2, 3.
fn extent(mesh: &TriMesh) -> ([f64; 3], [f64; 3]) {
    let low = mesh.points.iter().copied().reduce(|a, b| a.inf(&b)).unwrap();
    let high = mesh.points.iter().copied().reduce(|a, b| a.sup(&b)).unwrap();
    (low.into(), high.into())
}

fn near((low, high): ([f64; 3], [f64; 3]), wanted: ([f64; 3], [f64; 3])) {
    for k in 0..3 {
        assert!(
            (low[k] - wanted.0[k]).abs() < 1e-6 && (high[k] - wanted.1[k]).abs() < 1e-6,
            "{low:?} {high:?} {wanted:?}"
        );
    }
}

/// Volume by the triangles' orientation: positive where they look outwards.
fn volume(mesh: &TriMesh) -> f64 {
    let of = |face: &[u32; 3]| {
        let [a, b, c] = face.map(|i| mesh.points[i as usize]);
        a.dot(&b.cross(&c)) / 6.0
    };
    mesh.faces.iter().map(of).sum()
}

const CORNERS: [[f32; 3]; 8] =
    [[0., 0., 0.], [1., 0., 0.], [1., 2., 0.], [0., 2., 0.], [0., 0., 3.], [1., 0., 3.], [1., 2., 3.], [0., 2., 3.]];
const QUADS: [[u32; 4]; 6] = [[0, 3, 2, 1], [4, 5, 6, 7], [0, 1, 5, 4], [1, 2, 6, 5], [2, 3, 7, 6], [3, 0, 4, 7]];

fn triangles() -> Vec<[u32; 3]> {
    QUADS.iter().flat_map(|[a, b, c, d]| [[*a, *b, *c], [*a, *c, *d]]).collect()
}

fn is_the_box(mesh: &TriMesh) {
    near(extent(mesh), ([0.0; 3], [1.0, 2.0, 3.0]));
    assert_eq!((mesh.points.len(), mesh.faces.len()), (8, 12));
    assert!((volume(mesh) - 6.0).abs() < 1e-6, "{}", volume(mesh));
}

fn binary_stl(header: &str) -> Vec<u8> {
    let mut bytes = vec![b' '; 80];
    bytes[..header.len()].copy_from_slice(header.as_bytes());
    bytes.extend(12_u32.to_le_bytes());
    for face in triangles() {
        bytes.extend([0; 12]);
        for corner in face {
            bytes.extend(CORNERS[corner as usize].iter().flat_map(|v| v.to_le_bytes()));
        }
        bytes.extend([0; 2]);
    }
    bytes
}

fn ascii_stl(begin: &str, end: &str) -> String {
    let mut text = format!("{begin}solid box of vertex{end}");
    for face in triangles() {
        text += &format!("facet normal 0 0 0{end} outer loop{end}");
        for corner in face {
            let [x, y, z] = CORNERS[corner as usize];
            text += &format!("  vertex {x} {y:e} {z}{end}");
        }
        text += &format!(" endloop{end}endfacet{end}");
    }
    text + "endsolid box\n"
}

#[test]
fn stl_is_known_by_its_length_and_not_by_its_first_word() {
    for header in ["", "exported by a tool", "solid part made in CAD", "solid facet"] {
        is_the_box(&stl::read(&binary_stl(header)).unwrap());
    }
    let mut longer = binary_stl("solid x");
    longer.extend([0; 37]);
    is_the_box(&stl::read(&longer).unwrap());
    for (begin, end) in [("", "\n"), ("\n\n  \n", "\n"), ("\u{feff}", "\r\n"), ("", "\r")] {
        is_the_box(&stl::read(ascii_stl(begin, end).as_bytes()).unwrap());
    }
    is_the_box(&stl::read(ascii_stl("", "\n").to_uppercase().as_bytes()).unwrap());
    for (bytes, said) in [
        (vec![], "too short"),
        (b"hello".to_vec(), "too short"),
        (vec![7; 200], "no STL file"),
        (binary_stl("")[..300].to_vec(), "12 triangles in 300 bytes"),
        (
            b"solid a\nfacet\nouter loop\nvertex 0 0 0\nvertex 0 x 0\n".to_vec(),
            "line 5: a vertex is three numbers, and 'x' is none",
        ),
        (b"solid a\nouter loop\nvertex 0 0 0\nendloop".to_vec(), "line 4: a loop has 1 vertices"),
        (b"solid a\nouter loop\nvertex 0 0 0".to_vec(), "does not end"),
    ] {
        let error = stl::read(&bytes).unwrap_err();
        assert!(error.contains(said), "'{error}' should say '{said}'");
    }
}

#[test]
fn obj_has_quads_negative_places_and_materials_that_are_missing() {
    let corners: String = CORNERS.iter().map(|[x, y, z]| format!("v {x} {y} {z}\n")).collect();
    let quads: String =
        QUADS.iter().map(|q| format!("f {} {} {} {}\n", q[0] + 1, q[1] + 1, q[2] + 1, q[3] + 1)).collect();
    let back: String =
        QUADS.iter().map(|q| q.map(|i| format!("{}", i as i32 - 8)).join(" ")).map(|q| format!("f {q}\n")).collect();
    is_the_box(&obj(format!("mtllib none.mtl\n# box\n{corners}usemtl steel\n{quads}").as_bytes()).unwrap());
    is_the_box(&obj(format!("{corners}{back}").as_bytes()).unwrap());
    let normals: String =
        QUADS.iter().map(|q| q.map(|i| format!("{}//1", i + 1)).join(" ")).map(|q| format!("f {q}\n")).collect();
    is_the_box(&obj(format!("o a\n{corners}vn 0 0 1\n{normals}").as_bytes()).unwrap());
    let out = obj(format!("{corners}f 1 2 99\n").as_bytes());
    assert!(out.is_err());
}

/// A box in Collada; its positions are `scale` times as large as written in metres.
fn dae(head: &str, primitive: &str, scene: &str) -> String {
    let corners: Vec<String> = CORNERS.iter().flatten().map(f32::to_string).collect();
    format!(
        "<?xml version='1.0' encoding='utf-8'?>\n<COLLADA xmlns='http://www.collada.org/2005/11/COLLADASchema' version='1.4.1'>\n<asset>{head}</asset>\n\
         <library_geometries><geometry id='g'><mesh><source id='p'><float_array id='f' count='24'>{}</float_array>\
         <technique_common><accessor source='#f' count='8' stride='3'/></technique_common></source>\
         <source id='n'><float_array id='fn' count='3'>0 0 1</float_array></source>\
         <vertices id='v'><input semantic='POSITION' source='#p'/></vertices>{primitive}</mesh></geometry></library_geometries>\n{scene}</COLLADA>",
        corners.join(" ")
    )
}

const INPUTS: &str =
    "<input semantic='VERTEX' source='#v' offset='0'/><input semantic='NORMAL' source='#n' offset='1'/>";

fn dae_triangles() -> String {
    let list: Vec<String> = triangles().iter().flatten().map(|i| format!("{i} 0")).collect();
    format!("<triangles count='12'>{INPUTS}<p>{}</p></triangles>", list.join(" "))
}

fn visual(nodes: &str) -> String {
    format!(
        "<library_visual_scenes><visual_scene id='s'>{nodes}</visual_scene></library_visual_scenes><scene><instance_visual_scene url='#s'/></scene>"
    )
}

const PLAIN: &str = "<node><instance_geometry url='#g'/></node>";

#[test]
fn collada_has_triangles_and_polygons_of_all_kinds() {
    is_the_box(&dae::read(&dae("", &dae_triangles(), &visual(PLAIN))).unwrap());
    // No scene: its geometries as they are.
    is_the_box(&dae::read(&dae("", &dae_triangles(), "")).unwrap());
    let quads: Vec<String> = QUADS.iter().flatten().map(|i| format!("{i} 0")).collect();
    let list = format!("<polylist count='6'>{INPUTS}<vcount>4 4 4 4 4 4</vcount><p>{}</p></polylist>", quads.join(" "));
    is_the_box(&dae::read(&dae("", &list, &visual(PLAIN))).unwrap());
    let polygons: String = quads.chunks(4).map(|quad| format!("<p>{}</p>", quad.join(" "))).collect();
    is_the_box(
        &dae::read(&dae("", &format!("<polygons count='6'>{INPUTS}{polygons}</polygons>"), &visual(PLAIN))).unwrap(),
    );
    is_the_box(
        &dae::read(&dae("", &format!("<trifans count='6'>{INPUTS}{polygons}</trifans>"), &visual(PLAIN))).unwrap(),
    );
    // Corners of a strip: 0 1 3 2.
    let strips: String = quads.chunks(4).map(|q| format!("<p>{} {} {} {}</p>", q[0], q[1], q[3], q[2])).collect();
    is_the_box(
        &dae::read(&dae("", &format!("<tristrips count='6'>{INPUTS}{strips}</tristrips>"), &visual(PLAIN))).unwrap(),
    );
}

#[test]
fn collada_counts_units_and_transforms_and_not_what_is_up() {
    let read = |head: &str, nodes: &str| dae::read(&dae(head, &dae_triangles(), &visual(nodes))).unwrap();
    near(extent(&read("<unit name='millimeter' meter='0.001'/>", PLAIN)), ([0.0; 3], [0.001, 0.002, 0.003]));
    near(
        extent(&read("<unit name='inch' meter='0.0254'/><up_axis>Y_UP</up_axis>", PLAIN)),
        ([0.0; 3], [0.0254, 0.0508, 0.0762]),
    );
    for up in ["X_UP", "Y_UP", "Z_UP"] {
        is_the_box(&read(&format!("<up_axis>{up}</up_axis>"), PLAIN));
    }
    let node = |transform: &str| format!("<node>{transform}<instance_geometry url='#g'/></node>");
    // About z by 90 degrees: x becomes y. Then moved.
    let turned = read("", &node("<translate>10 0 0</translate><rotate>0 0 1 90</rotate><scale>1 1 2</scale>"));
    near(extent(&turned), ([8.0, 0.0, 0.0], [10.0, 1.0, 6.0]));
    let matrix = read("<unit meter='0.1'/>", &node("<matrix>0 -1 0 10  1 0 0 0  0 0 2 0  0 0 0 1</matrix>"));
    near(extent(&matrix), ([0.8, 0.0, 0.0], [1.0, 0.1, 0.6]));
    let mirrored = read("", &node("<scale>-1 1 1</scale>"));
    near(extent(&mirrored), ([-1.0, 0.0, 0.0], [0.0, 2.0, 3.0]));
    assert!((volume(&mirrored) - 6.0).abs() < 1e-9, "it stays outside out: {}", volume(&mirrored));
    // Nodes within nodes, and one used twice.
    let two = "<node id='a'><translate>5 0 0</translate><node><translate>0 5 0</translate><instance_geometry url='#g'/></node></node>\
               <node><translate>0 0 5</translate><instance_node url='#a'/></node>";
    let two = read("", two);
    near(extent(&two), ([5.0, 5.0, 0.0], [6.0, 7.0, 8.0]));
    assert_eq!(two.faces.len(), 24);
}

#[test]
fn what_is_wrong_with_a_collada_file_is_told_with_its_line() {
    let of = |primitive: &str, scene: &str| dae::read(&dae("", primitive, scene)).unwrap_err();
    for (error, said) in [
        (dae::read("<COLLADA").unwrap_err(), "well-formed"),
        (dae::read("<x3d/>").unwrap_err(), "<x3d>"),
        (dae::read(&dae("<unit meter='0'/>", "", "")).unwrap_err(), "unit meter=\"0\""),
        (of(&dae_triangles(), &visual("<node><instance_geometry url='#none'/></node>")), "'#none'"),
        (of(&dae_triangles(), &visual("<node id='r'><instance_node url='#r'/></node>")), "nodes within themselves"),
        (of(&dae_triangles(), &visual("<node><matrix>1 2 3</matrix></node>")), "<matrix> has 3 numbers; 16 are wanted"),
        (of(&dae_triangles(), &visual("<node><skew/></node>")), "<skew> is not read"),
        (of(&dae_triangles(), &visual("<node/>")), "no triangle"),
        (of("<lines/>", &visual(PLAIN)), "no triangle"),
        (of("<triangles><p>0 1 2</p></triangles>", &visual(PLAIN)), "no input VERTEX"),
        (of(&format!("<triangles>{INPUTS}<p>0 0 1 0 99 0</p></triangles>"), &visual(PLAIN)), "vertex 99, of 8"),
        (of(&format!("<triangles>{INPUTS}<p>0 0 x</p></triangles>"), &visual(PLAIN)), "'x' in <p>"),
        (of(&format!("<polylist>{INPUTS}<vcount>9</vcount><p>0 0 1 0</p></polylist>"), &visual(PLAIN)), "more corners"),
    ] {
        let said = said.replace('\'', "\"");
        assert!(error.replace('\'', "\"").contains(&said), "'{error}' should say '{said}'");
    }
    // Twice the one before it, forty times.
    let doubled: String = (0..40)
        .map(|k| format!("<node id='n{k}'><instance_node url='#n{0}'/><instance_node url='#n{0}'/></node>", k + 1))
        .collect();
    let error = of(&dae_triangles(), &visual(&format!("{doubled}<node id='n40'><instance_geometry url='#g'/></node>")));
    assert!(error.contains("too many nodes") || error.contains("more than"), "{error}");
}

fn positions_and_indices() -> Vec<u8> {
    let mut bytes: Vec<u8> = CORNERS.iter().flatten().flat_map(|v| v.to_le_bytes()).collect();
    bytes.extend(triangles().iter().flatten().flat_map(|i| u16::try_from(*i).unwrap().to_le_bytes()));
    bytes
}

fn gltf_json(buffer: &str, nodes: &str) -> String {
    format!(
        r#"{{"asset": {{"version": "2.0"}}, "scene": 0, "scenes": [{{"nodes": [0]}}], "nodes": [{nodes}],
        "meshes": [{{"primitives": [{{"attributes": {{"POSITION": 0, "NORMAL": 7}}, "indices": 1, "material": 3}}]}}],
        "accessors": [{{"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3", "min": [0, 0, 0]}}, {{"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"}}],
        "bufferViews": [{{"buffer": 0, "byteLength": 96}}, {{"buffer": 0, "byteOffset": 96, "byteLength": 72}}], "buffers": [{{{buffer}"byteLength": 168}}]}}"#
    )
}

fn glb(json: &str, binary: &[u8]) -> Vec<u8> {
    let mut json = json.as_bytes().to_vec();
    json.resize(json.len().next_multiple_of(4), b' ');
    let mut bytes = b"glTF".to_vec();
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend(u32::try_from(28 + json.len() + binary.len()).unwrap().to_le_bytes());
    for (kind, chunk) in [(0x4E4F_534A_u32, json.as_slice()), (0x004E_4942, binary)] {
        bytes.extend(u32::try_from(chunk.len()).unwrap().to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(chunk);
    }
    bytes
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, k| bits << 8 | u32::from(chunk.get(k).copied().unwrap_or(0)));
        out.extend(
            (0..4).map(
                |k| if k <= chunk.len() { char::from(LETTERS[(bits >> (18 - 6 * k)) as usize & 63]) } else { '=' },
            ),
        );
    }
    out
}

#[test]
fn gltf_is_read_with_its_buffers_within_it_beside_it_or_behind_it() {
    let bytes = positions_and_indices();
    let none = Path::new("");
    is_the_box(&gltf::read(&glb(&gltf_json("", "{\"mesh\": 0}"), &bytes), none).unwrap());
    let uri = format!("\"uri\": \"data:application/octet-stream;base64,{}\", ", base64(&bytes));
    is_the_box(&gltf::read(gltf_json(&uri, "{\"mesh\": 0}").as_bytes(), none).unwrap());
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a box.bin"), &bytes).unwrap();
    let path = folder.path().join("box.gltf");
    std::fs::write(&path, gltf_json("\"uri\": \"a%20box.bin\", ", "{\"mesh\": 0}")).unwrap();
    is_the_box(&read(&path).unwrap());
    std::fs::write(&path, gltf_json("\"uri\": \"gone.bin\", ", "{\"mesh\": 0}")).unwrap();
    let error = read(&path).unwrap_err();
    assert!(error.contains("buffer 0") && error.contains("gone.bin"), "{error}");
}

#[test]
fn gltf_counts_transforms_and_does_not_turn_y_up() {
    let of = |nodes: &str| gltf::read(&glb(&gltf_json("", nodes), &positions_and_indices()), Path::new("")).unwrap();
    let moved = of(
        r#"{"mesh": 0, "translation": [10, 0, 0], "rotation": [0, 0, 0.70710678118, 0.70710678118], "scale": [1, 1, 2]}"#,
    );
    near(extent(&moved), ([8.0, 0.0, 0.0], [10.0, 1.0, 6.0]));
    let within = of(
        r#"{"children": [1], "translation": [0, 0, 1]}, {"mesh": 0, "matrix": [1,0,0,0, 0,1,0,0, 0,0,1,0, 5,0,0,1]}"#,
    );
    near(extent(&within), ([5.0, 0.0, 1.0], [6.0, 2.0, 4.0]));
    let mirrored = of(r#"{"mesh": 0, "scale": [1, -1, 1]}"#);
    assert!((volume(&mirrored) - 6.0).abs() < 1e-6);
}

#[test]
fn what_is_wrong_with_a_gltf_file_is_told() {
    let good = gltf_json("", "{\"mesh\": 0}");
    let of = |json: &str| gltf::read(&glb(json, &positions_and_indices()), Path::new("")).unwrap_err();
    for (error, said) in [
        (of("{}"), "no triangle"),
        (of("[1, 2"), "no glTF"),
        (of(&good.replace("\"count\": 8", "\"count\": 80")), "80 elements, more than its buffer holds"),
        (of(&good.replace("\"count\": 8", "\"count\": 8000000000")), "at most 500000"),
        (of(&good.replace("5126", "5127")), "type 5127"),
        (of(&good.replace("\"byteLength\": 96", "\"byteLength\": 18446744073709551615")), "beyond its buffer"),
        (of(&good.replace("\"VEC3\"", "\"VEC4\"")), "'VEC4'"),
        (of(&good.replace("\"mesh\": 0", "\"mesh\": 5")), "no mesh 5"),
        (of(&good.replace("\"mesh\": 0", "\"children\": [0]")), "nodes within themselves"),
        (
            of(&good.replace("\"scene\": 0", "\"extensionsRequired\": [\"KHR_draco_mesh_compression\"]")),
            "without compression",
        ),
        (gltf::read(good.as_bytes(), Path::new("")).unwrap_err(), "neither a uri"),
        (gltf::read(b"glTF\x01\0\0\0", Path::new("")).unwrap_err(), "version 1"),
        (gltf::read(&glb(&good, &positions_and_indices())[..100], Path::new("")).unwrap_err(), "cut off"),
    ] {
        assert!(error.contains(said), "'{error}' should say '{said}'");
    }
}

#[test]
fn a_kind_that_is_not_read_and_a_folder_are_told() {
    assert!(read(Path::new("/tmp/arm.step")).unwrap_err().contains("STL, OBJ, Collada (.dae) and glTF"));
    assert!(read(Path::new("/nowhere/arm.DAE")).unwrap_err().contains("No such file"));
}

/// A good file, some of its bytes changed.
fn spoilt(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = good.len();
    prop::collection::vec((0..length, any::<u8>(), 0..3_u8), 0..12).prop_map(move |changes| {
        let mut bytes = good.clone();
        for (at, byte, how) in changes {
            let at = at.min(bytes.len().saturating_sub(1));
            match how {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                _ => bytes.insert(at, byte),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = stl::read(&bytes).map(checked);
        let _ = obj(&bytes).map(checked);
        let _ = dae::read(&String::from_utf8_lossy(&bytes)).map(checked);
        let _ = gltf::read(&bytes, Path::new("/nowhere")).map(checked);
    }

    #[test]
    fn a_spoilt_collada_file_is_read_or_refused(bytes in spoilt(dae("<unit meter='0.1'/>", &dae_triangles(), &visual(PLAIN)).into_bytes())) {
        let _ = dae::read(&String::from_utf8_lossy(&bytes)).map(checked);
    }

    #[test]
    fn a_spoilt_gltf_file_is_read_or_refused(bytes in spoilt(glb(&gltf_json("", "{\"mesh\": 0}"), &positions_and_indices()))) {
        let _ = gltf::read(&bytes, Path::new("/nowhere")).map(checked);
    }

    #[test]
    fn a_spoilt_stl_file_is_read_or_refused(binary in spoilt(binary_stl("solid")), ascii in spoilt(ascii_stl("\n", "\n").into_bytes())) {
        let _ = stl::read(&binary).map(checked);
        let _ = stl::read(&ascii).map(checked);
    }
}
