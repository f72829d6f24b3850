#![allow(clippy::unwrap_used)]
use super::*;
use r2r::std_msgs::msg::String as Text;
use r2r::std_srvs::srv::Trigger;
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// One for all tests: they run side by side, and a process initialises its logs once.
fn context() -> Arc<Context> {
    static CONTEXT: OnceLock<Arc<Context>> = OnceLock::new();
    CONTEXT.get_or_init(|| Context::create(["test".to_owned()]).unwrap()).clone()
}

fn reliable() -> QosProfile {
    QosProfile::default().keep_last(50)
}

fn text(data: impl ToString) -> Text {
    Text { data: data.to_string() }
}

/// Waits until somebody subscribes: what is published before is for nobody.
fn wait_for_a_subscriber(publisher: &PublisherHandle) {
    let end = Instant::now() + PATIENCE;
    while publisher.subscribers() == 0 {
        assert!(Instant::now() < end, "nobody subscribes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn next<T>(heard: &Receiver<T>) -> T {
    heard.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn every_message_of_a_reliable_topic_arrives_in_order_without_anybody_spinning() {
    let (mut speaker, mut listener) =
        (Entities::create(context(), "speaker").unwrap(), Entities::create(context(), "listener").unwrap());
    let said = speaker.advertise::<Text>("in_order", reliable()).unwrap();
    let (sender, heard) = channel();
    listener.subscribe::<Text>("in_order", reliable(), move |message| sender.send(message.data).unwrap()).unwrap();
    wait_for_a_subscriber(&said);
    for k in 0..200 {
        said.publish(&text(k)).unwrap();
        assert_eq!(next(&heard), k.to_string());
    }
    // From several threads at once: nothing is lost, whoever takes.
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let said = &said;
            scope.spawn(move || (0..10).for_each(|k| said.publish(&text(10 * thread + k)).unwrap()));
        }
    });
    let mut all: Vec<u32> = (0..40).map(|_| next(&heard).parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());
}

#[test]
fn what_was_said_before_somebody_listened_is_heard_where_it_is_latched() {
    let (mut speaker, mut listener) =
        (Entities::create(context(), "early").unwrap(), Entities::create(context(), "late").unwrap());
    let latched = || QosProfile::default().keep_last(1).transient_local();
    let said = speaker.advertise::<Text>("latched", latched()).unwrap();
    said.publish(&text("holds")).unwrap();
    let (sender, heard) = channel();
    listener.subscribe::<Text>("latched", latched(), move |message| sender.send(message.data).unwrap()).unwrap();
    assert_eq!(next(&heard), "holds");
}

#[test]
fn bytes_come_as_they_were_given_and_their_memory_is_used_again() {
    let mut node = Entities::create(context(), "bytes").unwrap();
    let said = node.advertise::<Text>("bytes", reliable()).unwrap();
    let (sender, heard) = channel();
    let each = move |bytes: Bytes| sender.send(bytes).unwrap();
    node.subscribe_bytes("bytes", "std_msgs/msg/String", reliable(), each).unwrap();
    wait_for_a_subscriber(&said);
    // CDR: little endian, six bytes with the zero.
    let hello = [&[0, 1, 0, 0, 6, 0, 0, 0], &b"hello\0"[..]].concat();
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..20 {
        said.publish_bytes(&hello).unwrap();
        let bytes = next(&heard);
        assert_eq!(bytes[..hello.len()], hello);
        places.insert(bytes.as_ptr());
    }
    assert!(places.len() <= SPARE, "{places:?}");
    // Kept for longer, messages have memory of their own.
    let kept: Vec<Bytes> = (0..2 * SPARE)
        .map(|_| {
            said.publish_bytes(&hello).unwrap();
            next(&heard)
        })
        .collect();
    let places: std::collections::BTreeSet<_> = kept.iter().map(|bytes| bytes.as_ptr()).collect();
    assert_eq!(places.len(), kept.len());
}

#[test]
fn an_unknown_type_is_told_by_name() {
    let mut node = Entities::create(context(), "unknown").unwrap();
    assert!(node.knows("std_msgs/msg/String") && !node.knows("no_such_msgs/msg/Thing"));
    let error = node.subscribe_bytes("x", "no_such_msgs/msg/Thing", reliable(), |_| ()).unwrap_err().to_string();
    assert!(error.contains("'x'") && error.contains("no_such_msgs/msg/Thing is not installed"), "{error}");
    let error = node.advertise::<Text>("not a name", reliable()).unwrap_err().to_string();
    assert!(error.contains("cannot advertise 'not a name'"), "{error}");
}

#[test]
fn once_the_node_is_gone_what_is_left_of_it_says_so_and_nothing_comes_any_more() {
    let mut speaker = Entities::create(context(), "stays").unwrap();
    let said = speaker.advertise::<Text>("after", reliable()).unwrap();
    let mut node = Entities::create(context(), "goes").unwrap();
    let (sender, heard) = channel();
    node.subscribe::<Text>("after", reliable(), move |message| sender.send(message.data).unwrap()).unwrap();
    let own = node.advertise::<Text>("own", reliable()).unwrap();
    wait_for_a_subscriber(&said);
    // It goes while messages come.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                said.publish(&text("more")).unwrap();
            }
        });
        next(&heard);
        drop(node);
        stop.store(true, Ordering::Relaxed);
    });
    while heard.try_recv().is_ok() {}
    assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "the subscription is over");
    let error = own.publish(&text("x")).unwrap_err();
    assert_eq!(error.reason(), GONE);
    assert_eq!(own.subscribers(), 0);
}

#[test]
fn requests_are_handed_over_and_answered_from_another_thread() {
    // The client is r2r's: another implementation of the other side.
    let mut server = Entities::create(context(), "server").unwrap();
    let (sender, requests) = channel();
    server.offer::<Trigger::Service>("ask", QosProfile::services_default(), move |r| sender.send(r).unwrap()).unwrap();
    let mut node = r2r::Node::create(r2r::Context::create().unwrap(), "client", "").unwrap();
    let client = node.create_client::<Trigger::Service>("ask", QosProfile::services_default()).unwrap();
    let available = r2r::Node::is_available(&client).unwrap();
    let spinning = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let going = spinning.clone();
    let spinner = std::thread::spawn(move || {
        while going.load(Ordering::Relaxed) {
            node.spin_once(Duration::from_millis(10));
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let answered = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, available).await.unwrap().unwrap();
        let answer = client.request(&Trigger::Request {}).unwrap();
        let responder = std::thread::spawn(move || {
            next(&requests).respond(Trigger::Response { success: true, message: "heard".to_owned() }).unwrap();
            requests
        });
        let answer = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap();
        (answer, responder.join().unwrap())
    });
    assert!(answered.0.success && answered.0.message == "heard");
    spinning.store(false, Ordering::Relaxed);
    spinner.join().unwrap();
}
